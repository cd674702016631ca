"""The lines of a recorded file: encodings, gzip, and how far reading has come."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from edge.recorded_cells import BadTable

GZIP = b"\x1f\x8b"


class Feed:
    """Lines of one text file; ``share`` says how much of it was read. Raises BadTable while it is read."""

    def __init__(self, path: Path, encoding: str | None = None) -> None:
        self.path, self._encoding = path, encoding
        self._raw: BinaryIO | None = None
        self._size = 1
        self._ended = False

    @property
    def share(self) -> float:
        """0 … 1, of the bytes on disk."""
        if self._raw is None or self._raw.closed:
            return float(self._ended)
        return min(self._raw.tell() / self._size, 1.0)

    def __iter__(self) -> Iterator[str]:
        named = self._encoding or "UTF-8"
        try:
            with self.path.open("rb") as raw:
                self._raw, self._size = raw, max(self.path.stat().st_size, 1)
                content = gzip.GzipFile(fileobj=raw) if raw.peek(2)[:2] == GZIP else raw
                named = self._encoding or _encoding_of(content.peek(2)[:2])
                with io.TextIOWrapper(content, encoding=named) as text:
                    yield from text
                self._ended = True
        except UnicodeError:
            raise BadTable(
                f"{self.path} is not {named} text. Name its encoding, like --encoding cp1252 or gb18030."
            ) from None
        except LookupError:
            raise BadTable(f"There is no encoding {named!r}. Give one like utf-8, cp1252 or gb18030.") from None
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise BadTable(f"{self.path} is damaged: {error}.") from error
        except OSError as error:
            raise BadTable(f"{self.path} cannot be read: {error.strerror}.") from error


def lines_of(path: Path, encoding: str | None) -> Iterator[str]:
    """The lines of a text file, packed by gzip or not. Raises BadTable."""
    return iter(Feed(path, encoding))


def _encoding_of(start: bytes) -> str:
    return "utf-16" if start in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
