"""What a file is, by its bytes alone: type, size in pixels, and where it ends. Pure.

    look(data) ──> Seen(media, kind, end, width, height)      or FileTypeRefused, TwoFilesInOne, FileDamaged

A declared type or a name is never looked at. A picture is walked to its own end, so that whatever was hung on behind
it is noticed: a second format is refused, anything else is cut off by the caller (``end``).
Formats: PNG (W3C), JPEG (ITU T.81), GIF89a, WebP and WAVE (RIFF), ISO 14496-12 boxes, WebM (EBML), Ogg (RFC 3533), PDF.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from mmap import mmap

from tickets.file_errors import FileDamaged, FileEmpty, FileTypeRefused, TwoFilesInOne

Data = bytes | mmap


class Kind(StrEnum):
    """What a file is to people; each has a size limit of its own."""

    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class Seen:
    """A file that is taken. ``end``: bytes that belong to it; what follows is none of its format."""

    media: str
    kind: Kind
    end: int
    width: int | None = None
    height: int | None = None


MEDIA = (
    *("image/png", "image/jpeg", "image/gif", "image/webp", "video/mp4", "video/quicktime", "video/webm"),
    *("audio/mp4", "audio/webm", "audio/ogg", "audio/wav", "audio/mpeg", "application/pdf", "text/plain"),
)  # everything that is taken
HEAD = 65_536
MARKUP = re.compile(rb"<(?:script[\s>]|html[\s>]|!doctype|iframe[\s>]|\?php\s)|javascript:", re.IGNORECASE)
SECOND = (b"PK\x03\x04", b"PK\x05\x06", b"%PDF-", b"MZ", b"\x7fELF", b"Rar!", b"7z\xbc\xaf", b"<", b"#!")
ZIP_END = b"PK\x05\x06"
ZIP_TAIL = 22 + 65_535


def look(data: Data) -> Seen:
    """The file's type by its bytes. Raises FileEmpty, FileTypeRefused, TwoFilesInOne, FileDamaged."""
    if len(data) == 0:
        raise FileEmpty
    head = data[:HEAD]
    for fits, walk in WALKS:
        if fits(head):
            seen = _walked(walk, data)
            _refuse_a_second(data, seen)
            return seen
    if _is_text(data):
        return Seen("text/plain", Kind.DOCUMENT, len(data))
    raise FileTypeRefused


def _walked(walk: Callable[[Data], Seen], data: Data) -> Seen:
    try:
        return walk(data)
    except (IndexError, ValueError) as error:
        raise FileDamaged from error


def _refuse_a_second(data: Data, seen: Seen) -> None:
    if MARKUP.search(data[:HEAD] if seen.kind in (Kind.AUDIO, Kind.VIDEO) else data):
        raise TwoFilesInOne(
            "The file is a web page or a script at the same time. Take the picture anew, or save it again."
        )
    if seen.kind is Kind.IMAGE and b"%PDF-" in data[:1024]:
        raise TwoFilesInOne("The picture is a PDF at the same time. Take it anew, or save it again.")
    if _ends_as_zip(data):
        raise TwoFilesInOne("The file is an archive at the same time. Send the archive's contents one by one.")
    behind = data[seen.end :]
    if behind.startswith(SECOND) or b"PK\x03\x04" in behind:
        raise TwoFilesInOne("Another file hangs on the end of this one. Take the picture anew, or save it again.")


def _ends_as_zip(data: Data) -> bool:
    """Whether an archiver would find its directory: it is searched from the end, whatever stands before."""
    at = data.rfind(ZIP_END, max(0, len(data) - ZIP_TAIL))
    return at >= 0 and len(data) - at >= 22 and at + 22 + _le(data, at + 20, 2) <= len(data)


# -- pictures ---------------------------------------------------------------------------------------------------------


def _png(data: Data) -> Seen:
    if data[12:16] != b"IHDR":
        raise ValueError("no header")
    at = 8
    while True:
        size, kind = _be(data, at, 4), data[at + 4 : at + 8]
        at += 12 + size
        _within(data, at)
        if kind == b"IEND":
            return Seen("image/png", Kind.IMAGE, at, _be(data, 16, 4), _be(data, 20, 4))


FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF markers
NEXT_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])", re.DOTALL)


def _jpeg(data: Data) -> Seen:
    at = 2
    size: tuple[int, int] | None = None
    while True:
        found = NEXT_MARKER.search(data, at)
        if found is None:
            raise ValueError("no end")
        marker, at = found[1][0], found.end()
        if marker == 0xD9:
            if size is None:
                raise ValueError("no frame")
            return Seen("image/jpeg", Kind.IMAGE, at, *size)
        if marker == 0x01:
            continue
        if marker in FRAMES:
            size = size or (_be(data, at + 5, 2), _be(data, at + 3, 2))
        at += max(2, _be(data, at, 2))
        _within(data, at)


def _gif(data: Data) -> Seen:
    width, height = _le(data, 6, 2), _le(data, 8, 2)
    at = 13 + _colours(data[10])
    while data[at] != 0x3B:
        if data[at] == 0x21:
            at = _blocks(data, at + 2)
        elif data[at] == 0x2C:
            width = max(width, _le(data, at + 1, 2) + _le(data, at + 5, 2))
            height = max(height, _le(data, at + 3, 2) + _le(data, at + 7, 2))
            at = _blocks(data, at + 11 + _colours(data[at + 9]))
        else:
            raise ValueError("no block")
    return Seen("image/gif", Kind.IMAGE, at + 1, width, height)


def _colours(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _blocks(data: Data, at: int) -> int:
    while data[at]:
        at += 1 + data[at]
    return at + 1


def _webp(data: Data) -> Seen:
    end = 8 + _le(data, 4, 4)
    _within(data, end)
    kind, body = data[12:16], data[20:34]
    if kind == b"VP8X":
        width, height = 1 + _le(body, 4, 3), 1 + _le(body, 7, 3)
    elif kind == b"VP8L":
        bits = _le(body, 1, 4)
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif kind == b"VP8 ":
        width, height = _le(body, 6, 2) & 0x3FFF, _le(body, 8, 2) & 0x3FFF
    else:
        raise ValueError("no picture")
    return Seen("image/webp", Kind.IMAGE, end, width, height)


# -- sound and video --------------------------------------------------------------------------------------------------

STILLS = (b"heic", b"heix", b"heif", b"mif1", b"msf1", b"avif")


def _mp4(data: Data) -> Seen:
    brand = data[8:12]
    if brand in STILLS:
        raise FileTypeRefused("HEIC and AVIF pictures are not taken. Set the camera to JPEG (most compatible).")
    boxes = _boxes(data)
    if b"moov" not in boxes:
        raise ValueError("no film")
    at, size = boxes[b"moov"]
    if data.find(b"vide", at, at + size) < 0:
        return Seen("audio/mp4", Kind.AUDIO, len(data))
    return Seen("video/quicktime" if brand == b"qt  " else "video/mp4", Kind.VIDEO, len(data))


def _boxes(data: Data) -> dict[bytes, tuple[int, int]]:
    found: dict[bytes, tuple[int, int]] = {}
    at = 0
    while at < len(data):
        size, name = _be(data, at, 4), bytes(data[at + 4 : at + 8])
        if size == 1:
            size = _be(data, at + 8, 8)
        size = size or len(data) - at
        if size < 8 or not name.isascii() or not name.decode().isprintable():
            raise ValueError("no box")
        found.setdefault(name, (at, size))
        at += size
        _within(data, at)
    return found


def _webm(data: Data) -> Seen:
    head = data[:HEAD]
    if b"webm" not in head[:64]:
        raise FileTypeRefused("Matroska files are not taken. Send WebM or MP4.")
    video = b"V_VP" in head or b"V_AV1" in head
    return Seen("video/webm" if video else "audio/webm", Kind.VIDEO if video else Kind.AUDIO, len(data))


OGG_SOUND = (b"OpusHead", b"\x01vorbis", b"Speex   ", b"\x7fFLAC")


def _ogg(data: Data) -> Seen:
    if not any(codec in data[:128] for codec in OGG_SOUND):
        raise FileTypeRefused("Of Ogg files only sound (Opus, Vorbis, Speex, FLAC) is taken.")
    return Seen("audio/ogg", Kind.AUDIO, len(data))


def _wave(data: Data) -> Seen:
    end = 8 + _le(data, 4, 4)
    _within(data, end)
    return Seen("audio/wav", Kind.AUDIO, end + end % 2 if end < len(data) else end)


def _mpeg(data: Data) -> Seen:
    return Seen("audio/mpeg", Kind.AUDIO, len(data))


# -- documents --------------------------------------------------------------------------------------------------------


def _pdf(data: Data) -> Seen:
    if b"%%EOF" not in data[-2048:]:
        raise ValueError("no end")
    return Seen("application/pdf", Kind.DOCUMENT, len(data))


CONTROLS = frozenset(range(32)) - {9, 10, 12, 13}
MOST_TEXT = 5_000_000


def _is_text(data: Data) -> bool:
    """UTF-8 without control characters, which no browser could take for a page."""
    if len(data) > MOST_TEXT:
        return False
    text = data[:]
    if any(control in text for control in (bytes([code]) for code in CONTROLS)) or MARKUP.search(text):
        return False
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return not text.lstrip().startswith((b"<", b"#!"))


def _be(data: Data, at: int, size: int) -> int:
    return int.from_bytes(_slice(data, at, size), "big")


def _le(data: Data, at: int, size: int) -> int:
    return int.from_bytes(_slice(data, at, size), "little")


def _slice(data: Data, at: int, size: int) -> bytes:
    found = data[at : at + size]
    if len(found) < size:
        raise IndexError("cut off")
    return found


def _within(data: Data, at: int) -> None:
    if at > len(data):
        raise IndexError("cut off")


def _is_mpeg(head: bytes) -> bool:
    return head.startswith(b"ID3") or (
        len(head) > 3 and head[0] == 0xFF and head[1] & 0xF6 == 0xF2 and head[2] >> 4 != 15
    )


WALKS: tuple[tuple[Callable[[bytes], bool], Callable[[Data], Seen]], ...] = (
    (lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"), _png),
    (lambda head: head.startswith(b"\xff\xd8\xff"), _jpeg),
    (lambda head: head.startswith((b"GIF87a", b"GIF89a")), _gif),
    (lambda head: head.startswith(b"RIFF") and head[8:12] == b"WEBP", _webp),
    (lambda head: head[4:8] == b"ftyp", _mp4),
    (lambda head: head.startswith(b"\x1aE\xdf\xa3"), _webm),
    (lambda head: head.startswith(b"OggS"), _ogg),
    (lambda head: head.startswith(b"RIFF") and head[8:12] == b"WAVE", _wave),
    (lambda head: head.startswith(b"%PDF-"), _pdf),
    (_is_mpeg, _mpeg),
)
