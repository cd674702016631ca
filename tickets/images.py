"""Pictures are decoded in a child process that may die of it: thumbnails, and the codes in the picture."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import Unavailable
from tickets import image_child
from tickets.file_errors import FileDamaged, TooManyPixels

WITHIN_S = 20.0
AT_ONCE = threading.BoundedSemaphore(2)
LONGEST_SIDE = 20_000


@dataclass(frozen=True, slots=True)
class Code:
    """A QR, DataMatrix or bar code and what it says."""

    format: str
    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """What the child made: thumbnails by name with (width, height), codes in reading order."""

    thumbs: dict[str, tuple[int, int]]
    codes: tuple[Code, ...]


def refuse_large(width: int, height: int, *, most_pixels: int) -> None:
    """Look at the declared size, before anything is decoded. Raises TooManyPixels, FileDamaged."""
    if width < 1 or height < 1:
        raise FileDamaged
    if max(width, height) > LONGEST_SIDE or width * height > most_pixels:
        raise TooManyPixels(
            f"The picture has {width} × {height} pixels; at most {most_pixels // 1_000_000} megapixels and "
            f"{LONGEST_SIDE} on a side are decoded. Send it smaller."
        )


def decode(path: Path, prefix: Path, *, most_pixels: int) -> Picture:
    """Thumbnails ``prefix.NAME.webp`` and the codes of a picture. Raises FileDamaged, Unavailable."""
    if not AT_ONCE.acquire(timeout=WITHIN_S):
        raise Unavailable("Too many pictures are being looked at. Send it again in a moment.")
    try:
        told = _run(path, prefix, most_pixels)
    finally:
        AT_ONCE.release()
    thumbs = {name: (size[0], size[1]) for name, size in told["thumbs"].items()}
    return Picture(thumbs, tuple(Code(**each) for each in told["codes"]))


def _run(path: Path, prefix: Path, most_pixels: int) -> Any:
    command = [sys.executable, "-I", str(Path(image_child.__file__)), str(path), str(prefix), str(most_pixels)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=WITHIN_S, check=False, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        raise FileDamaged("The picture takes too long to decode. Save it again, or send it smaller.") from error
    if done.returncode != 0:
        raise FileDamaged("The picture cannot be decoded. Save it again, or take it anew.")
    return json.loads(done.stdout)
