"""Small files of every kind for tests, honest and hostile ones."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import Any

import numpy as np
from PIL import Image


def picture(media: str = "PNG", *, size: tuple[int, int] = (64, 48), colour: Any = "teal", **options: Any) -> bytes:
    """A real picture."""
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, media, **options)
    return out.getvalue()


def noise(size: tuple[int, int], seed: int = 1) -> bytes:
    """A JPEG full of detail."""
    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, "JPEG", quality=90)
    return out.getvalue()


def phone_photo() -> bytes:
    """A JPEG as a phone takes it: 80 × 40 stored, shown turned by 90°, with a place in its EXIF."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8825).update({1: "N", 2: (31.0, 14.0, 0.0), 3: "E", 4: (121.0, 29.0, 0.0)})
    return picture("JPEG", size=(80, 40), exif=exif)


def coded(drawn: list[list[bool]], scale: int = 6) -> bytes:
    """A PNG photo of a QR code's modules."""
    dark = np.pad(np.array(drawn), 4)
    pixels = np.kron(np.where(dark, 20, 235).astype(np.uint8), np.ones((scale, scale), np.uint8))
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("run.sh", "echo hello")
    return out.getvalue()


def huge_png(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims so many pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


def box(name: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", 8 + len(body)) + name + body


def mp4(handler: bytes = b"vide", brand: bytes = b"isom") -> bytes:
    head = box(b"ftyp", brand + bytes(4) + b"isom")
    return head + box(b"moov", box(b"hdlr", bytes(8) + handler + bytes(12))) + box(b"mdat", b"\x01" * 64)


def webm(codec: bytes = b"A_OPUS") -> bytes:
    return b"\x1aE\xdf\xa3\x9f\x42\x82\x84webm" + bytes(40) + codec + bytes(64)


def ogg() -> bytes:
    return b"OggS\0\x02" + bytes(22) + b"OpusHead\x01\x01" + bytes(64)


def wav() -> bytes:
    body = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8) + b"data" + struct.pack("<I", 8) + bytes(8)
    return b"RIFF" + struct.pack("<I", len(body)) + body


PDF = b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"
