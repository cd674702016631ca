"""The tables of a tagged PDF of ours, read back: structure → marked content → characters."""

from __future__ import annotations

import re
import zlib

ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}


def rows(file: bytes) -> list[list[str]]:
    """Every row of every table, its cells from left to right."""
    objects = {int(found[1]): found[2] for found in re.finditer(rb"(\d+) 0 obj(.*?)endobj", file, re.DOTALL)}
    texts = _texts(objects)
    lines = [body for body in objects.values() if b"/S/TR/" in body]
    return [[_said(objects, cell, texts) for cell in _kids(line)] for line in lines]


def _kids(body: bytes) -> list[int]:
    listed = re.search(rb"/K\[([^\]]*)\]", body)
    return [int(each) for each in re.findall(rb"(\d+) 0 R", listed[1])] if listed else []


def _said(objects: dict[int, bytes], ident: int, texts: dict[tuple[int, int], str]) -> str:
    """The characters of an element and of those in it."""
    body = objects[ident]
    listed = re.search(rb"/K\[([^\]]*)\]", body)
    page = re.search(rb"/Pg (\d+) 0 R", body)
    parts = []
    for number, is_object in re.findall(rb"(\d+)( 0 R)?", listed[1] if listed else b""):
        if is_object:
            parts.append(_said(objects, int(number), texts))
        elif page:
            parts.append(texts.get((int(page[1]), int(number)), ""))
    return "".join(parts)


def _texts(objects: dict[int, bytes]) -> dict[tuple[int, int], str]:
    """(page, number of the marked content) → its characters."""
    found = {}
    for ident, body in objects.items():
        if b"/Type/Page/" not in body:
            continue
        fonts = _fonts(objects, body)
        content = _stream(objects[_number(rb"/Contents (\d+) 0 R", body)])
        for mark in re.finditer(rb"<</MCID (\d+)[^>]*>>BDC(.*?)EMC", content, re.DOTALL):
            found[ident, int(mark[1])] = _shown(mark[2], fonts)
    return found


def _fonts(objects: dict[int, bytes], page: bytes) -> dict[bytes, dict[int, str]]:
    resources = objects[_number(rb"/Resources (\d+) 0 R", page)]
    named = re.search(rb"/Font<<(.*?)>>", resources)
    found = {}
    for name, ident in re.findall(rb"/(\w+) (\d+) 0 R", named[1] if named else b""):
        found[name] = _characters(_stream(objects[_number(rb"/ToUnicode (\d+) 0 R", objects[int(ident)])]))
    return found


def _characters(cmap: bytes) -> dict[int, str]:
    known = {}
    for block in re.findall(rb"beginbfchar(.*?)endbfchar", cmap, re.DOTALL):
        for code, units in re.findall(rb"<([0-9A-Fa-f]+)>\s*<([0-9A-Fa-f]+)>", block):
            known[int(code, 16)] = bytes.fromhex(units.decode()).decode("utf-16-be")
    for block in re.findall(rb"beginbfrange(.*?)endbfrange", cmap, re.DOTALL):
        for low, high, units in re.findall(rb"<(\w+)>\s*<(\w+)>\s*<(\w+)>", block):
            first = int.from_bytes(bytes.fromhex(units.decode()), "big")
            known |= {code: chr(first + code - int(low, 16)) for code in range(int(low, 16), int(high, 16) + 1)}
    return known


def _shown(content: bytes, fonts: dict[bytes, dict[int, str]]) -> str:
    characters: dict[int, str] = {}
    said, at = "", 0
    while at < len(content):
        font = re.compile(rb"/(\w+) [\d.]+ Tf").match(content, at)
        if font:
            characters, at = fonts[font[1]], font.end()
        elif content[at : at + 1] in b"(<":
            end = _end(content, at)
            inner = content[at + 1 : end]
            codes = _plain(inner) if content[at : at + 1] == b"(" else bytes.fromhex(inner.decode())
            said += "".join(characters[int.from_bytes(codes[i : i + 2], "big")] for i in range(0, len(codes), 2))
            at = end + 1
        else:
            at += 1
    return said


def _end(content: bytes, begins: int) -> int:
    """Where a string ends; brackets in it stand in pairs unless they are escaped."""
    if content[begins : begins + 1] == b"<":
        return content.index(b">", begins)
    depth, at = 0, begins
    while True:
        sign = content[at : at + 1]
        depth += (sign == b"(") - (sign == b")")
        if depth == 0:
            return at
        at += 2 if sign == b"\\" else 1


def _plain(text: bytes) -> bytes:
    def one(found: re.Match[bytes]) -> bytes:
        sign = found[1]
        return bytes([int(sign, 8)]) if sign.isdigit() else ESCAPES.get(sign, sign)

    return re.sub(rb"\\([0-7]{1,3}|.)", one, text, flags=re.DOTALL)


def _stream(body: bytes) -> bytes:
    found = re.search(rb"stream\r?\n(.*?)endstream", body, re.DOTALL)
    assert found
    return zlib.decompressobj().decompress(found[1])


def _number(pattern: bytes, body: bytes) -> int:
    found = re.search(pattern, body)
    assert found, (pattern, body[:200])
    return int(found[1])
