"""What is declared of a machine for its vibration, and what a waveform then says of its bearings and its zone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from fastapi import Response
from pydantic import Field

from api.deps import Ctx, VersionIfAny, router
from api.policies import allow
from api.shapes import BigId, Id, Input, Number, Output, Page, Ref, Whole, Words
from detectors.calibrate import ALARMING
from detectors.vibration import judge, zones
from detectors.vibration.bearings import Bearing, Part, estimated, geometries
from detectors.vibration.errors import BadBearing, OutsideStandard
from detectors.vibration.judge import Take
from detectors.vibration.zones import Foundation, Standing
from edge import features
from maintenance.sentences import say
from plant import assets, bearings, waveforms
from plant.bearings import Declared
from plant.errors import WaveformNotFound
from plant.model import Signal
from plant.times import to_us
from plant.waveforms import Kept

routes = router("telemetry")
Millimetres = Annotated[Number, Field(gt=0, le=5000)]


class BearingBody(Input):
    """Either `balls`, `ball_mm` and `pitch_mm` (with `contact_deg`), or `bore_mm` and `outside_mm`, from which the
    inside is estimated. `ratio`: turns of its shaft a turn of the machine."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    ratio: Annotated[Number, Field(gt=0, le=1000)] = 1.0
    balls: Annotated[Whole, Field(ge=3, le=500)] | None = None
    ball_mm: Millimetres | None = None
    pitch_mm: Millimetres | None = None
    contact_deg: Annotated[Number, Field(ge=0, lt=90)] = 0.0
    bore_mm: Millimetres | None = None
    outside_mm: Millimetres | None = None


class VibrationBody(Input):
    """`speed_rpm` counts where there is no `speed_signal_id` or it is silent. Without `power_kw` and `foundation`
    there are no zones."""

    speed_rpm: Annotated[Number, Field(gt=0, le=500_000)]
    speed_signal_id: Ref | None = None
    power_kw: Annotated[Number, Field(gt=0, le=1e6)] | None = None
    shaft_height_mm: Millimetres | None = None
    foundation: Literal["rigid", "flexible"] | None = None
    bearings: Annotated[list[BearingBody], Field(max_length=50)] = Field(default_factory=list)


class BearingShown(BearingBody, Output):
    """With its defect frequencies in Hz at the declared speed: `BPFO`, `BPFI`, `BSF`, `FTF`."""

    origin: Literal["declared", "estimated"]
    frequencies_hz: dict[str, float]


class VibrationShown(Output):
    """`limits_mm_s`: where zones A, B and C of ISO 20816-3 end; null where power or foundation is not declared, or the
    standard does not cover such a machine."""

    asset_id: int
    version: int
    speed_rpm: float
    speed_signal_id: int | None
    power_kw: float | None
    shaft_height_mm: float | None
    foundation: str | None
    group: str | None
    limits_mm_s: list[float] | None
    bearings: list[BearingShown]


class GeometryShown(Output):
    """A geometry that is estimated by formula from boundary dimensions."""

    name: str
    balls: int
    ball_mm: float
    pitch_mm: float
    orders: dict[str, float]


class LineShown(Output):
    """The line that stands out most. `surprise`: −log10 of how probable it is in noise; alarming from 5 on."""

    bearing: str
    part: str
    expected_hz: float
    found_hz: float
    amplitude: float
    unit: str
    times_noise: float
    harmonics: int
    surprise: float
    alarming: bool


class JudgedShown(Output):
    """What a waveform says: `rms_mm_s` and `zone` where they can be told, and the loudest line of a bearing. A machine
    that stood still, `speed_rpm` 0, has neither zone nor line."""

    wave_id: int
    speed_rpm: float
    rms_mm_s: float | None
    zone: Literal["A", "B", "C", "D"] | None
    line: LineShown | None
    sentences: list[Words]


@routes.get("/assets/{asset_id}/vibration", dependencies=[allow("asset.read")])
def get_vibration(ctx: Ctx, asset_id: Id, response: Response) -> VibrationShown:
    """What is declared of a machine's vibration."""
    return _shown(bearings.get(ctx.conn, asset_id), response)


@routes.put("/assets/{asset_id}/vibration", dependencies=[allow("asset.edit")])
def put_vibration(
    ctx: Ctx, asset_id: Id, version: VersionIfAny, body: VibrationBody, response: Response
) -> VibrationShown:
    """Declare speed, standing and bearings; with `If-Match` of what was declared before."""
    for each in body.bearings:
        _bearing(each)
    known = [each.model_dump(exclude_none=True) for each in body.bearings]
    wanted = Declared(
        *(asset_id, body.speed_rpm, body.speed_signal_id, body.power_kw, body.shaft_height_mm, body.foundation),
        known,
        version or 0,
    )
    return _shown(bearings.put(ctx.conn, wanted), response)


@routes.get("/bearing-geometries", dependencies=[allow("asset.read")])
def list_geometries(ctx: Ctx) -> Page[GeometryShown]:  # noqa: ARG001 - the right is asked for
    """A few bearings by their boundary dimensions, their inside estimated by formula."""
    shown = [
        GeometryShown(
            name=name, balls=each.balls, ball_mm=each.ball_mm, pitch_mm=each.pitch_mm, orders=_rounded(each.orders)
        )
        for name, each in geometries().items()
    ]
    return Page(items=shown, next=None)


@routes.get("/waveforms/{wave_id}/judgement", dependencies=[allow("telemetry.read")])
def judge_waveform(ctx: Ctx, wave_id: BigId) -> JudgedShown:
    """What a waveform says of the machine's bearings and its zone, at the speed that it had."""
    kept = waveforms.read(ctx.conn, wave_id)
    if kept.values is None:
        raise WaveformNotFound("Retention has taken this waveform's samples; only its spectra are left.")
    signal = assets.signal(ctx.conn, kept.head.signal_id)
    declared = bearings.get(ctx.conn, signal.asset_id)
    speed_rpm = bearings.speed_at(ctx.conn, declared, to_us(kept.head.at))
    rms = _rms_mm_s(kept, signal)
    line, sentences = _line(kept, signal, declared, speed_rpm)
    zone = None
    if rms is not None and speed_rpm > 0.0 and (standing := _standing(declared)) is not None:
        zone = zones.zone_of(rms, "mm/s", standing)
    return JudgedShown(
        wave_id=wave_id,
        speed_rpm=speed_rpm,
        rms_mm_s=rms,
        zone=None if zone is None else zone.name,
        line=line,
        sentences=sentences,
    )


def _line(kept: Kept, signal: Signal, declared: Declared, speed_rpm: float) -> tuple[LineShown | None, list[Words]]:
    """The loudest line of all bearings and, where it is alarming, what to say. Only acceleration has an envelope."""
    if signal.quantity != "vibration_acceleration" or kept.values is None or speed_rpm <= 0.0:
        return None, []
    loudest = None
    for each in map(_kept_body, declared.bearings):
        take = Take(signal, kept.values, kept.head.rate_hz, speed_rpm * each.ratio, signal.unit)
        heard = judge.loudest([take], [_bearing(each)])
        if heard is not None and (loudest is None or heard.surprise > loudest.surprise):
            loudest = heard
    if loudest is None:
        return None, []
    line = loudest.line
    surprise = max(loudest.surprise - float(np.log10(len(declared.bearings))), 0.0)
    shown = LineShown(
        bearing=loudest.bearing.name,
        part=line.part.value,
        expected_hz=line.expected_hz,
        found_hz=line.found_hz,
        amplitude=line.amplitude,
        unit=signal.unit,
        times_noise=line.prominence,
        harmonics=line.harmonics,
        surprise=surprise,
        alarming=surprise >= ALARMING,
    )
    words = judge.sentence_of(loudest)
    return shown, [Words(**say(words.key, words.values))] if shown.alarming else []


def _rms_mm_s(kept: Kept, signal: Signal) -> float | None:
    """Broad-band velocity; None for what is neither velocity nor acceleration."""
    if kept.values is None or signal.quantity not in ("vibration_velocity", "vibration_acceleration"):
        return None
    values, rate_hz = kept.values, kept.head.rate_hz
    if signal.quantity == "vibration_acceleration":
        values = features.velocity(values, rate_hz)
    return features.features(values, rate_hz).rms


def _standing(declared: Declared) -> Standing | None:
    if declared.power_kw is None or declared.foundation is None:
        return None
    try:
        group = zones.group_of(declared.power_kw, declared.speed_rpm, shaft_height_mm=declared.shaft_height_mm)
    except OutsideStandard:
        return None
    return Standing(group, Foundation(declared.foundation))


def _bearing(body: BearingBody) -> Bearing:
    """Raises BadBearing, also for one that is described in two ways or in none."""
    inside = (body.balls, body.ball_mm, body.pitch_mm)
    around = (body.bore_mm, body.outside_mm)
    if None not in inside and around == (None, None):
        return Bearing(body.balls or 0, body.ball_mm or 0.0, body.pitch_mm or 0.0, body.contact_deg, body.name)
    if None not in around and inside == (None, None, None):
        return estimated(body.bore_mm or 0.0, body.outside_mm or 0.0, name=body.name)
    raise BadBearing(f"{body.name}: give balls, ball_mm and pitch_mm, or bore_mm and outside_mm, and not both.")


def _kept_body(kept: object) -> BearingBody:
    return BearingBody.model_validate(kept)


def _shown(declared: Declared, response: Response) -> VibrationShown:
    response.headers["ETag"] = f'"{declared.version}"'
    standing = _standing(declared)
    return VibrationShown(
        asset_id=declared.asset_id,
        version=declared.version,
        speed_rpm=declared.speed_rpm,
        speed_signal_id=declared.speed_signal_id,
        power_kw=declared.power_kw,
        shaft_height_mm=declared.shaft_height_mm,
        foundation=declared.foundation,
        group=None if standing is None else standing.group.value,
        limits_mm_s=None if standing is None else list(standing.limits("vibration_velocity")),
        bearings=[_bearing_shown(_kept_body(each), declared.speed_rpm) for each in declared.bearings],
    )


def _bearing_shown(body: BearingBody, speed_rpm: float) -> BearingShown:
    bearing = _bearing(body)
    return BearingShown(
        **body.model_dump(),
        origin=bearing.origin.value,
        frequencies_hz=_rounded(bearing.frequencies_hz(speed_rpm * body.ratio)),
    )


def _rounded(figures: Mapping[Part, float]) -> dict[str, float]:
    return {part.value: round(value, 4) for part, value in figures.items()}
