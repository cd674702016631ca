"""What carries the samples on this server: native day partitions, or TimescaleDB feature by feature.

``settle_store()`` (migration 0003) decides at every migrate by what the server has and may; it writes down each
feature with the reason. Readers always ask ``samples``: a partitioned table natively, a view over a hypertable else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from weakref import WeakKeyDictionary

from psycopg import Connection

HYPERTABLE = "sample_store"


class Kind(StrEnum):
    """NATIVE: one partition a day. HYPERTABLE: TimescaleDB's chunks of a day; COMPRESSING: rows go in compressed."""

    NATIVE = "native"
    HYPERTABLE = "hypertable"
    COMPRESSING = "compressing"


@dataclass(frozen=True, slots=True)
class Feature:
    """Whether a feature of the store is on, and a sentence that says why or why not, in each language."""

    name: str
    on: bool
    code: str
    detail: str  # the server's own words: a version, a licence, a refusal
    sentence: Mapping[str, str]


SENTENCES: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("hypertable", "on"): {
        "en": "Samples lie in a TimescaleDB hypertable.",
        "zh": "样本存放在 TimescaleDB 超表中。",
    },
    ("hypertable", "not_installed"): {
        "en": "Samples lie in native day partitions: this server does not offer TimescaleDB.",
        "zh": "样本存放在原生按日分区中：该服务器不提供 TimescaleDB。",
    },
    ("hypertable", "not_created"): {
        "en": "Samples lie in native day partitions. The server offers TimescaleDB: `create extension timescaledb` in "
        "an empty database, then start again.",
        "zh": "样本存放在原生按日分区中。服务器提供 TimescaleDB：请在空数据库中执行 `create extension timescaledb`，"
        "然后重新启动。",
    },
    ("hypertable", "native_samples"): {
        "en": "Samples lie in native day partitions already; TimescaleDB is used for new databases only.",
        "zh": "样本已存放在原生按日分区中；TimescaleDB 仅用于新数据库。",
    },
    ("columnstore", "on"): {
        "en": "Chunks are compressed by column, a segment each signal, ordered by time.",
        "zh": "数据块按列压缩，每个信号一段，按时间排序。",
    },
    ("direct_compress", "on"): {
        "en": "COPY writes compressed batches at once.",
        "zh": "COPY 直接写入压缩批次。",
    },
    ("direct_compress", "too_old"): {
        "en": "This TimescaleDB cannot compress during COPY; chunks are compressed a day later.",
        "zh": "该 TimescaleDB 版本不支持 COPY 时压缩；数据块将在一天后压缩。",
    },
    ("columnstore_policy", "on"): {
        "en": "Small batches and late data are compressed once their day is over.",
        "zh": "小批次和迟到数据在当日结束后压缩。",
    },
    ("continuous_aggregates", "ours"): {
        "en": "Minutes and hours are our own rollups on every server: they stay right where raw samples are gone.",
        "zh": "各服务器上的分钟和小时汇总均由本系统计算：原始样本删除后仍保持正确。",
    },
    ("retention_policy", "ours"): {
        "en": "Retention is our own on every server: it waits for the rollups and knows the tiers of each class.",
        "zh": "各服务器上的保留策略均由本系统执行：等待汇总完成，并区分各类信号的保留期限。",
    },
}
ANY: Mapping[str, Mapping[str, str]] = {
    "licence": {
        "en": "This server's edition of TimescaleDB does not have it (timescaledb.license).",
        "zh": "该服务器的 TimescaleDB 版本许可不包含此功能（timescaledb.license）。",
    },
    "no_hypertable": {"en": "It needs a hypertable.", "zh": "此功能需要超表。"},
    "refused": {"en": "The server refused it; the detail has its words.", "zh": "服务器拒绝启用；详情见服务器消息。"},
}

_kinds: WeakKeyDictionary[Connection, Kind] = WeakKeyDictionary()


def describe(conn: Connection) -> list[Feature]:
    """Every feature of the store as it was settled at the last start, in the order of the way of a sample."""
    rows = conn.execute("select name, is_on, code, detail from store_features").fetchall()
    order = list(dict.fromkeys(name for name, _ in SENTENCES))
    rows.sort(key=lambda row: order.index(row[0]) if row[0] in order else len(order))
    return [Feature(name, on, code, detail, _sentence(name, code)) for name, on, code, detail in rows]


def kind_of(conn: Connection) -> Kind:
    """How this connection's database keeps samples; asked once a connection."""
    kind = _kinds.get(conn)
    if kind is None:
        rows = {name for (name,) in conn.execute("select name from store_features where is_on")}
        kind = Kind.NATIVE
        if "hypertable" in rows:
            kind = Kind.COMPRESSING if "direct_compress" in rows else Kind.HYPERTABLE
        _kinds[conn] = kind
    return kind


def _sentence(name: str, code: str) -> Mapping[str, str]:
    return SENTENCES.get((name, code)) or ANY.get(code) or {"en": code, "zh": code}
