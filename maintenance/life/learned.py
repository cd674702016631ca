"""Models learnt from the plant's own failures, versioned: one stands for each class and failure mode. SQL.

failures of a class and mode ──> their lives ──> boosted.fit ──> life_models (numbers, hash) ──> forecasts
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from psycopg import Connection
from psycopg.types.json import Jsonb

from core import log
from maintenance.errors import ForeignModel
from maintenance.life import archive, boosted, histories
from maintenance.life.boosted import LifeModel, Run
from maintenance.life.histories import HOUR
from maintenance.model import UNKNOWN, Forecast
from plant.model import Asset

LEVELS = (0.1, 0.5, 0.9)
STEPS = 200.0  # that a middling life is divided into
CAP = 125.0  # steps before the end, beyond which nothing shows yet
MOST_LIVES = 300  # the newest
LEAST_STEPS = 40  # of a life that teaches
SEED = 1
KEPT = 8  # models held in memory
TRY_AGAIN = timedelta(hours=24)  # lives of which too little was recorded are read again so long after
logger = log.get("life")


@dataclass(frozen=True, slots=True)
class Kept:
    """A model that stands, with the signals it wants, in their order, and the hours of a step."""

    life_model_id: int
    asset_class: str
    mode: str
    number: int
    signals: tuple[str, ...]
    step_h: float
    lives: int
    made_at: datetime


def all_standing(conn: Connection, asset_class: str | None = None) -> list[Kept]:
    """The models that stand, of every class or of one, by class and mode."""
    rows = conn.execute(
        """select life_model_id, asset_class, mode, number, signals, step_h, lives, made_at from life_models
           where (%s::text is null or asset_class = %s) and retired_at is null order by asset_class, mode""",
        (asset_class, asset_class),
    ).fetchall()
    return [Kept(row[0], row[1], row[2], row[3], tuple(row[4]), row[5], row[6], row[7]) for row in rows]


def standing(conn: Connection, asset_class: str, mode: str) -> Kept | None:
    """The model of the class for the mode; where the mode is not known, the class's only one."""
    found = all_standing(conn, asset_class)
    exact = [each for each in found if each.mode == mode]
    if exact:
        return exact[0]
    return found[0] if mode == UNKNOWN and len(found) == 1 else None


def forecast(conn: Connection, asset: Asset, mode: str, *, at: datetime, horizon_h: float) -> Forecast | None:
    """By the model of the machine's class; None where there is none, or the machine lacks one of its signals."""
    kept = standing(conn, asset.asset_class, mode)
    start = histories.began(conn, asset.asset_id, before=at) if kept else None
    if kept is None or start is None:
        return None
    signals = histories.measured(conn, asset.asset_id)
    model = model_of(conn, kept)
    if model is None or not set(kept.signals) <= signals.keys():
        return None
    ids = [signals[code] for code in kept.signals]
    values = histories.grid(conn, ids, start=start, end=at, step_h=kept.step_h)
    answer = model.answer(values, levels=LEVELS, within=horizon_h / kept.step_h)
    p10, p50, p90 = (float(each) * kept.step_h for each in answer.quantiles)
    return Forecast(p10, p50, p90, answer.chance, horizon_h, boosted.MODEL, f"{boosted.VERSION}.{kept.number}")


def learn(conn: Connection, now: datetime) -> Kept | None:
    """Learn for the first class and mode that has enough failures, and new ones; None when there is none."""
    for asset_class, mode, failures in _groups(conn):
        learnt_from = hashlib.sha256(",".join(map(str, failures)).encode()).hexdigest()
        if len(failures) < boosted.LEAST_RUNS or _known(conn, asset_class, mode, learnt_from):
            continue
        if abs(now - _TRIED.get(learnt_from, now - TRY_AGAIN)) < TRY_AGAIN:
            continue
        made = _learn(conn, asset_class, mode, failures, learnt_from, now)
        if made is not None:
            return made
        _TRIED[learnt_from] = now  # too little was recorded of these lives: it may come, by backfill
    return None


def keep(
    conn: Connection,
    model: LifeModel,
    *,
    asset_class: str,
    mode: str,
    signals: tuple[str, ...],
    step_h: float,
    lives: int,
    learnt_from: str,
    now: datetime,
) -> Kept:
    """Let the model stand in the place of the one before it, which stays."""
    content = archive.pack(model)
    key = (asset_class, mode)
    conn.execute(
        "update life_models set retired_at = %s where asset_class = %s and mode = %s and retired_at is null",
        (now, *key),
    )
    row = conn.execute(
        """insert into life_models (asset_class, mode, number, format, signals, step_h, lives, figures, content,
             content_hash, learnt_from, made_at)
           select %s, %s, coalesce(max(number), 0) + 1, %s, %s, %s, %s, %s, %s, %s, %s, %s from life_models
           where asset_class = %s and mode = %s returning life_model_id, number""",
        (*key, archive.FORMAT, list(signals), step_h, lives, Jsonb({"share": model.share, "cap_h": model.cap * step_h}),
         content, hashlib.sha256(content).digest(), learnt_from, now, *key),
    ).fetchone()  # fmt: skip
    if row is None:
        raise RuntimeError("insert … returning gave no row")
    return Kept(row[0], asset_class, mode, row[1], signals, step_h, lives, now)


def _groups(conn: Connection) -> list[tuple[str, str, list[int]]]:
    return conn.execute(
        """select a.class, f.mode, array_agg(f.failure_id order by f.failure_id) from failures f
           join assets a using (asset_id) group by a.class, f.mode order by a.class, f.mode"""
    ).fetchall()


def _known(conn: Connection, asset_class: str, mode: str, learnt_from: str) -> bool:
    query = "select 1 from life_models where asset_class = %s and mode = %s and learnt_from = %s"
    return conn.execute(query, (asset_class, mode, learnt_from)).fetchone() is not None


def _learn(
    conn: Connection, asset_class: str, mode: str, failures: list[int], learnt_from: str, now: datetime
) -> Kept | None:
    lives = _lives(conn, failures[-MOST_LIVES:])
    signals = _shared(conn, {asset_id for asset_id, _, _ in lives})
    if len(lives) < boosted.LEAST_RUNS or not signals:
        return None
    step_h = _step_h(conn, lives, signals)
    runs = []
    for asset_id, start, end in lives:
        ids = histories.measured(conn, asset_id)
        values = histories.grid(conn, [ids[code] for code in signals], start=start, end=end, step_h=step_h)
        if len(values) >= LEAST_STEPS and np.isfinite(values).any():
            runs.append(Run(values))
    if len(runs) < boosted.LEAST_RUNS:
        return None
    model = boosted.fit(runs, cap=CAP, seed=SEED)
    kept = keep(conn, model, asset_class=asset_class, mode=mode, signals=signals, step_h=step_h, lives=len(runs),
                learnt_from=learnt_from, now=now)  # fmt: skip
    logger.info("learnt", asset_class=asset_class, mode=mode, lives=len(runs), number=kept.number)
    return kept


def _lives(conn: Connection, failures: list[int]) -> list[tuple[int, datetime, datetime]]:
    """(asset, began, failed) of each failure whose life was recorded."""
    rows = conn.execute(
        "select asset_id, failed_at from failures where failure_id = any(%s) order by asset_id, failed_at", (failures,)
    ).fetchall()
    began = [(asset_id, histories.began(conn, asset_id, before=end), end) for asset_id, end in rows]
    return [(asset_id, start, end) for asset_id, start, end in began if start is not None and start < end]


def _shared(conn: Connection, machines: set[int]) -> tuple[str, ...]:
    """Codes that every one of the machines measures."""
    codes = [set(histories.measured(conn, asset_id)) for asset_id in sorted(machines)]
    return tuple(sorted(set.intersection(*codes))) if codes else ()


def _step_h(conn: Connection, lives: list[tuple[int, datetime, datetime]], signals: tuple[str, ...]) -> float:
    """A middling life in STEPS steps, none shorter than what is measured least often."""
    usual = float(np.median([(end - start) / HOUR for _, start, end in lives])) / STEPS
    row = conn.execute(
        "select max(period_s) from signals where code = any(%s) and asset_id = any(%s)",
        (list(signals), [asset_id for asset_id, _, _ in lives]),
    ).fetchone()
    return max(usual, float(row[0]) / 3600 if row and row[0] else usual)


def model_of(conn: Connection, kept: Kept) -> LifeModel | None:
    """The kept model; None (and a line in the log) when it is of another version or damaged: others forecast then."""
    row = conn.execute(
        "select content_hash from life_models where life_model_id = %s", (kept.life_model_id,)
    ).fetchone()
    if row is None:
        return None
    held = _HELD.get(bytes(row[0]))
    if held is not None:
        return held
    content = conn.execute("select content from life_models where life_model_id = %s", (kept.life_model_id,)).fetchone()
    try:
        return _hold(bytes(content[0]) if content else b"", bytes(row[0]))
    except ForeignModel as error:
        logger.warning("model_refused", life_model=kept.life_model_id, reason=str(error))
        return None


_TRIED: dict[str, datetime] = {}  # failures by their hash → when they were last read in vain
_HELD: dict[bytes, LifeModel] = {}  # what is kept never changes: its hash is its name


def _hold(content: bytes, sha256: bytes) -> LifeModel:
    model = archive.unpack(content, sha256=sha256)
    while len(_HELD) >= KEPT:
        _HELD.pop(next(iter(_HELD)))
    return _HELD.setdefault(sha256, model)
