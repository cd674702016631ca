"""The program of a child process that decodes one picture: thumbnails, and the codes in it. Run by path.

    python -I tickets/image_child.py PICTURE PREFIX MOST_PIXELS   →  PREFIX.small.webp, PREFIX.large.webp, JSON

Decoders have holes, and a small file may decode to gigabytes: it happens here, where memory, time and the size of
files are limited, and not in the server. Exit code 3: the picture cannot be decoded, with the reason on stderr.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

MEMORY_BYTES = 1536 * 1024 * 1024
CPU_S = 15
FILE_BYTES = 16 * 1024 * 1024
SIZES = {"small": 320, "large": 1280}
READ_AT = 2560  # pixels of the longer side at which codes are looked for
FORMATS = ("JPEG", "PNG", "GIF", "WEBP")
UNREADABLE = 3


def main(argv: list[str]) -> int:
    source, prefix, most_pixels = argv
    _limit()
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # each of its threads would take a share of the memory
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = int(most_pixels)
    try:
        print(json.dumps(_look(Image, source, prefix)))
    except (OSError, ValueError, SyntaxError, MemoryError, Image.DecompressionBombError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return UNREADABLE
    return 0


def _limit() -> None:
    for which, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(which, (most, most))


def _look(image_module: Any, source: str, prefix: str) -> dict[str, Any]:
    from PIL import ImageOps

    with image_module.open(source, formats=FORMATS) as opened:
        opened.draft("RGB", (READ_AT, READ_AT))  # a JPEG is decoded no larger than needed
        opened.thumbnail((READ_AT, READ_AT))
        upright = _flat(image_module, ImageOps.exif_transpose(opened))
    return {"thumbs": _thumbs(upright, prefix), "codes": _codes(upright)}


def _flat(image_module: Any, image: Any) -> Any:
    """RGB on white, without anything that was written into the file beside the pixels (place, device, owner)."""
    layered = image.convert("RGBA")
    flat = image_module.new("RGB", layered.size, "white")
    flat.paste(layered, mask=layered.getchannel("A"))
    return flat


def _thumbs(image: Any, prefix: str) -> dict[str, list[int]]:
    made = {}
    for name, side in sorted(SIZES.items(), key=lambda item: -item[1]):
        smaller = image.copy()
        smaller.thumbnail((side, side))
        smaller.save(f"{prefix}.{name}.webp", "WEBP", quality=78, method=4)
        made[name] = list(smaller.size)
    return made


def _codes(image: Any) -> list[dict[str, str]]:
    import numpy
    import zxingcpp

    found = zxingcpp.read_barcodes(numpy.asarray(image.convert("L")))
    return [
        {"format": str(each.format).rpartition(".")[2], "text": each.text[:500]} for each in found[:20] if each.text
    ]


if __name__ == "__main__":
    if not Path(sys.argv[1]).is_file():
        sys.exit(UNREADABLE)
    sys.exit(main(sys.argv[1:]))
