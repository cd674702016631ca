"""A label for a machine: a QR code with words beneath it, as SVG."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
import zxingcpp

WIDTH_MM = 60
QUIET = 4  # modules around the code (ISO/IEC 18004)
LINE = 3.4  # modules of a line of text
LONGEST = 34


def label(text: str, *, code: str, name: str) -> str:
    """SVG, 60 mm wide: the code of ``text`` at error correction M or better, ``code`` large, ``name`` small."""
    modules = matrix(text)
    side = len(modules) + 2 * QUIET
    height = side + 2 * LINE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH_MM}mm" height="{WIDTH_MM * height / side:.2f}mm" '
        f'viewBox="0 0 {side} {height:.2f}" shape-rendering="crispEdges">'
        f'<rect width="100%" height="100%" fill="#fff"/><path d="{_path(modules)}" fill="#000"/>'
        f"{_line(code, side, side + 1.4, 3.2)}{_line(name, side, side + 4.4, 2)}</svg>"
    )


def matrix(text: str) -> list[list[bool]]:
    """The modules of the QR code, without its quiet zone; True is dark."""
    made: Any = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level="M")
    pixels = np.asarray(made.to_image(scale=1, add_quiet_zones=False))
    return [[bool(pixel < 128) for pixel in row] for row in pixels]


def _path(modules: list[list[bool]]) -> str:
    """One rectangle for each run of dark modules."""
    drawn = []
    for y, row in enumerate(modules):
        x = 0
        while x < len(row):
            run = next((i for i, dark in enumerate(row[x:]) if not dark), len(row) - x)
            if run:
                drawn.append(f"M{x + QUIET} {y + QUIET}h{run}v1h-{run}z")
            x += max(run, 1)
    return "".join(drawn)


def _line(text: str, side: int, y: float, size: float) -> str:
    shown = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    fitted = min(size, side / max(1.0, 0.62 * sum(2 if ord(sign) > 0x2E7F else 1 for sign in shown)))
    return (
        f'<text x="{side / 2}" y="{y:.2f}" font-size="{fitted:.2f}" text-anchor="middle" '
        f'font-family="sans-serif">{escape(shown)}</text>'
    )
