"""Signals that several machine classes share, as data."""

from __future__ import annotations

from collections.abc import Mapping

from simulators.machines.base import SignalSpec


def name(en: str, zh: str) -> Mapping[str, str]:
    """A text in both languages."""
    return {"en": en, "zh": zh}


STATE = SignalSpec("state", name("Operating state", "运行状态"), "state", "", 0.0, 9.0, 0, "state")
AMBIENT = SignalSpec(
    "ambient", name("Ambient temperature", "环境温度"), "temperature", "°C", -40.0, 80.0, 1, "setpoint"
)
LOAD = SignalSpec("load", name("Load", "负载"), "ratio", "%", 0.0, 120.0, 1, "setpoint")
VIBRATION = SignalSpec("vibration", name("Vibration", "振动速度"), "vibration_velocity", "mm/s", 0.0, 50.0, 3)
BEARING_TEMP = SignalSpec("bearing_temp", name("Bearing temperature", "轴承温度"), "temperature", "°C", -40.0, 200.0, 2)


def current(high: float) -> SignalSpec:
    """Motor current with a sensor up to ``high`` A."""
    return SignalSpec("current", name("Motor current", "电机电流"), "current", "A", 0.0, high, 2)


def flow(high: float, decimals: int = 2) -> SignalSpec:
    """Volume flow with a sensor up to ``high`` m³/h."""
    return SignalSpec("flow", name("Flow", "流量"), "flow", "m3/h", 0.0, high, decimals)


def speed(high: float) -> SignalSpec:
    """Speed asked for, up to ``high`` rpm."""
    return SignalSpec("speed", name("Speed setpoint", "转速设定"), "rotational_speed", "rpm", 0.0, high, 0, "setpoint")
