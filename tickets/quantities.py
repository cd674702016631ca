"""How finely a part is counted or measured. Pure."""

from __future__ import annotations

from math import ceil, isfinite

from tickets import words

RESOLUTION = 1e-9  # of every unit
TINY = 1e-6  # of a smallest quantity: what floats lose
COUNTED = frozenset({
    "pcs", "pc", "piece", "pieces", "ea", "each", "set", "sets", "pair", "pairs", "box", "boxes", "roll", "rolls",
    "kit", "kits", "个", "件", "只", "套", "支", "台", "根", "块", "片", "盒", "卷", "对",
})  # fmt: skip


def smallest(unit: str, declared: float | None) -> float:
    """The smallest quantity of a part: what was declared, else one where it is counted, else the unit's resolution."""
    if declared is not None:
        return declared
    return 1.0 if unit.strip().lower().rstrip(".") in COUNTED else RESOLUTION


def refuse_odd(code: str, unit: str, *, quantity: float, least: float) -> None:
    """Raise InvalidFields unless the quantity (negative: taken away) is a multiple of ``least``."""
    steps = abs(quantity) / least
    if least <= RESOLUTION and steps < 1 - TINY:
        raise words.refuse("quantity", f"The smallest quantity of {code} is {least:g} {unit}.")
    if least > RESOLUTION and (abs(steps - round(steps)) > TINY or round(steps) == 0):
        whole = "come whole" if least == 1 else f"come in multiples of {least:g} {unit}"
        raise words.refuse("quantity", f"{code} {whole}; {quantity:g} {unit} is no such quantity.")


def enough(quantity: float, least: float) -> float:
    """The smallest multiple of ``least`` that is not less."""
    return quantity if least <= RESOLUTION else ceil(quantity / least - TINY) * least


def declared(given: float | None) -> float | None:
    """A smallest quantity as somebody declares it. Raises InvalidFields."""
    if given is not None and not (isfinite(given) and RESOLUTION <= given <= 1e6):
        raise words.refuse("smallest", f"smallest is a number from {RESOLUTION:g} to 1000000.")
    return given
