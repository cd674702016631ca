"""Bodies that nobody should send: texts that are no JSON, JSON that no field may hold, and bombs. Pure.

The small ones are written from RFC 8259 and from what decoders are known to get wrong, then cut, doubled and mutated.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

MB = 1_000_000
MIB = 1 << 20
GOOD = b'{"kind": "request", "title": "Noise \xe2\x9c\x93", "fields": {"a": [1, -2.5e3, true, null, "\\u00e9\\n"]}}'


class Body(NamedTuple):
    """``is_json``: a decoder that follows RFC 8259 takes it; None: it may or may not."""

    family: str
    name: str
    data: bytes
    is_json: bool | None = None


NUMBERS = """
NaN -NaN nan Infinity -Infinity +Infinity inf 0x10 0b1 0o7 01 -01 00 1. .5 -.5 1.e3 1e 1e+ 1e- 1eE2 1ee2 +1 ++1 -- -
1_000 1,5 ½ １２ ١ 0e 1.2.3 1-2 1+2 -1- 9.e+ 0.e1 2.e3 1a 1e5a
"""
TOO_LARGE = (
    "1e999",
    "-1e999",
    "1e400",
    str(2**63),
    str(-(2**63) - 1),
    str(2**64),
    "9" * 400,
    "9" * 5_000,
    "1" + "0" * 400,
)
LITERALS = "True False None undefined nul tru fals nulll TRUE Null true1 !0 () <null> #"
STRUCTURE = """
[ ] { } [1_1] {1} [1,] [,1] [,] [1,,2] [1:2] {"a"} {"a":} {"a":1,} {,"a":1} {"a":1,,"b":2} {"a"_1} {"a"::1} {a:1}
{'a':1} {1:1} {null:1} {[]:1} {"a":1]}[1} [1]] {}} {}{} []1 1[] "a""b" ["a", _"b" {"a":"b"}# //x /**/1 [1]/**/ <a> * $
& ' " \\ , : ;
"""
TEXTS = (
    '"\\"', '"\\x41"', '"\\u"', '"\\u12"', '"\\uZZZZ"', '"\\U0001F600"', '"\\0"', '"\\\'"', '"\\a"', '"a\nb"',
    '"a\tb"', '"a\x01b"', '"\x7f', "'a'", "“a”", '"\\u005C"\\""', '"a\\', '"\\uD8"', '"\\ud83d\\u', '"\\u{1F600}"',
)  # fmt: skip
HALVES = ("\\ud800", "\\udfff", "\\ud800\\ud800", "\\udc00\\ud800", "a\\udbff", "\\ud83d\\u0041", "\\uDADA", "\\u0000")
BYTES = (
    b'"\xff"', b'"\xc0\xaf"', b'"\xc1\xbf"', b'"\xe0\x80\xaf"', b'"\xf0\x80\x80\xaf"', b'"\xf8\x88\x80\x80\x80"',
    b'"\xed\xa0\x80"', b'"\xed\xbf\xbf"', b'"\xf4\x90\x80\x80"', b'"\x80"', b'"\xe2\x82"', b'"\xfe\xff"', b"\xff",
    b"\xe9", b'["\xe9"]', b"\x00", b"\x00\x00", b'"a\x00b"', b"[\x00]", b"\x1b[31m[]", b"\xef\xbb\xbf{}", b"\xef\xbb",
    b"\xfe\xff\x00{\x00}", b"\xff\xfe{\x00}\x00", b"\xc2\xa0[]", b"[]\xe2\x80\xa8", b"\x0c[]", b"\x0b1",
    b"\xe2\x81\xa0[]",
)  # fmt: skip
CODINGS = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "utf-8-sig", "cp037")


SIGNS = (b"\x00", b'"', b"{", b"[", b"]", b"}", b",", b":", b"\\", b"\xff", b"e", b"-", b"9")
MANY = (
    *((b"1", 49_000), (b"1", 500_000), (b"1", 5_000_000), (b'""', 49_000), (b"[]", 9_000), (b"[]", 300_000)),
    *((b"{}", 9_000), (b"1.5", 250_000)),
)
UNITS = (
    *((b"a", "letters"), (b"\\u00e9", "escapes"), (b"\\ud83d\\ude00", "pairs"), (b"\\\\", "backslashes")),
    (b"\xe6\xb3\xb5", "wide letters"),
)
WORDS = {
    "number": NUMBERS.split(),
    "literal": LITERALS.split(),
    "structure": [each.replace("_", " ") for each in STRUCTURE.split()],
    "text": TEXTS,
}


def small(seed: int, *, mutations: int) -> list[Body]:
    """Texts that are no JSON or hold what must not come in, each once, and ``mutations`` of good and bad ones."""
    found = [*_syntax(), *_encodings(), *_truncated()]
    chance = random.Random(seed)  # noqa: S311
    known = {body.data for body in found}
    while len(known) < len(found) + mutations and mutations:
        data = _mutated(chance.choice(found).data[:200] or GOOD, chance)
        if data not in known:
            known.add(data)
            found.append(Body("mutated", data[:24].decode("latin-1"), data))
            mutations -= 1
    return found


def _syntax() -> Iterator[Body]:
    for family, texts in WORDS.items():
        for text in texts:
            for shape in ("{}", '{{"title": {}}}', "[{}]") if family != "structure" else ("{}", '{{"title": {}}}'):
                data = shape.format(text).encode()
                yield Body(family, data[:40].decode(), data, _is_json(data))
    for text in TOO_LARGE:
        yield Body("huge number", text[:12], f'{{"priority": {text}}}'.encode(), is_json=True)
    for half in HALVES:
        yield Body("half a character", half, f'{{"title": "{half}"}}'.encode(), is_json=True)
        yield Body("half a character", f"key {half}", f'{{"{half}": 1}}'.encode(), is_json=True)
    yield Body("twice", "key", b'{"title": "a", "title": "b"}', is_json=True)
    yield Body("twice", "key by escape", b'{"title": "a", "t\\u0069tle": "b"}', is_json=True)
    yield Body("twice", "deep", b'{"fields": {"a": 1, "a": 2}}', is_json=True)


def _encodings() -> Iterator[Body]:
    for data in BYTES:
        yield Body("bytes", repr(data)[:24], data, is_json=False)
        yield Body("bytes", f"in a field {data!r}"[:24], b'{"title": ' + data + b"}", is_json=False)
    for coding in CODINGS:
        yield Body("coding", coding, '{"title": "t\u00e9"}'.encode(coding), is_json=False)
    for coding in ("latin-1", "gbk", "shift-jis"):
        yield Body("coding", coding, '{"title": "\u00e9\u6cf5"}'.encode(coding, "ignore") + b"\xe9", is_json=False)


def _truncated() -> Iterator[Body]:
    for end in range(len(GOOD)):
        yield Body("truncated", str(end), GOOD[:end], is_json=False if end else None)


def _is_json(data: bytes) -> bool:
    def refuse(token: str) -> None:
        raise ValueError(token)

    try:
        json.loads(data, parse_constant=refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _mutated(data: bytes, chance: random.Random) -> bytes:
    """One to three bytes flipped, dropped, doubled or put in."""
    made = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(made)) if made else 0
        kind = chance.randrange(4)
        if kind == 0 and made:
            made[at] ^= 1 << chance.randrange(8)
        elif kind == 1 and made:
            del made[at]
        elif kind == 2:
            made[at:at] = made[at : at + chance.randint(1, 8)]
        else:
            made[at:at] = chance.choice(
                (b"\x00", b'"', b"{", b"[", b"]", b"}", b",", b":", b"\\", b"\xff", b"e", b"-", b"9")
            )
    return bytes(made)


def bombs() -> list[Body]:
    """What is large, deep or many: each at the limit, one beyond, and far beyond."""
    return [*_deep(), *_many(), *_long()]


def _deep() -> Iterator[Body]:
    for depth in (63, 65, 1_000, 100_000):
        mixed = b'[{"a":' * depth + b"1" + b"}]" * depth
        yield Body("deep", f"lists {depth}", b"[" * depth + b"]" * depth, is_json=True)
        yield Body("deep", f"open lists {depth}", b"[" * depth, is_json=False)
        yield Body("deep", f"objects {depth}", b'{"a":' * depth + b"1" + b"}" * depth, is_json=True)
        yield Body("deep", f"in a field {depth}", b'{"fields": ' + mixed + b"}", is_json=True)
    yield Body("deep", "wrong brackets", b"[{" * 50_000, is_json=False)


def _many() -> Iterator[Body]:
    for keys in (9_999, 10_001, 100_000):
        flat = {str(n): n for n in range(keys)}
        yield Body("keys", f"{keys}", json.dumps(flat).encode(), is_json=True)
        yield Body("keys", f"{keys} in a field", json.dumps({"fields": flat}).encode(), is_json=True)
    yield Body("keys", "10 MB", json.dumps({f"key-{n:06}": n for n in range(500_000)}).encode(), is_json=True)
    yield Body("keys", "the same 60,000 times", b"{" + b",".join([b'"a":1'] * 60_000) + b"}", is_json=True)
    yield Body("keys", "long ones", json.dumps({f"{n:0100}": 0 for n in range(9_000)}).encode(), is_json=True)
    for item, count in MANY:
        data = b"[" + b",".join([item] * count) + b"]"
        yield Body("many", f"{count} {item.decode()}", data, is_json=True)
        yield Body("many", f"{count} {item.decode()} in a field", b'{"title": ' + data + b"}", is_json=True)


def _long() -> Iterator[Body]:
    for unit, name in UNITS:
        text = unit * ((MIB - 40) // len(unit))
        yield Body("long", f"a mebibyte of {name}", b'{"title": "' + text + b'"}', is_json=True)
    yield Body("long", "1 MiB + 1", b'"' + b"a" * (MIB - 1) + b'"', is_json=True)
    yield Body("long", "10 MB of text", b'"' + b"a" * (10 * MB) + b'"', is_json=True)
    yield Body("long", "10 MB of blanks", b" " * (10 * MB), is_json=False)
    yield Body("long", "a mebibyte of digits", b"9" * (MIB - 8), is_json=True)
    yield Body("long", "a mebibyte of quotes", b'"' * (MIB - 8), is_json=False)
    yield Body("long", "a mebibyte of colons", b":" * (MIB - 8), is_json=False)


VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63 - 1, -(2**63), 1.5, 1e308, -0.0, 5e-324, "", " ", "x", "x" * 100_000,
    "\u202e\u200b\ufeff", "a\nb", "'; drop table tickets; --", "{{7*7}}", "../../etc/passwd", "=1+1", "\U0010ffff",
    "<script>alert(1)</script>", "0" * 400, "2026-01-31T08:00:00", "9999-12-31T23:59:59-14:00", "2026-02-30T00:00:00Z",
    "0001-01-01T00:00:00+14:00", [], {}, [None], [[]], {"": ""}, ["x"] * 5_000, [1] * 5_000, [{}] * 5_000,
    [{"a": 1}] * 2_000, {str(n): n for n in range(2_000)}, {"a": {"a": {"a": {"a": {}}}}},
)  # fmt: skip
KNOWN_SHARE = 0.9
EXTRA = ("site_id", "user_id", "version", "__proto__", "constructor", "id", "is_admin", "role", "$ref", "", "a" * 5_000)


def shaped(schema: dict[str, Any], definitions: dict[str, Any], chance: random.Random, *, count: int) -> Iterator[Body]:
    """Objects of a route's shape of which one field holds something strange, or that have a field too many."""
    good = example(schema, definitions)
    if not isinstance(good, dict):
        return
    properties = list(_resolved(schema, definitions).get("properties", {}))
    for _ in range(count):
        name = chance.choice(properties if properties and chance.random() < KNOWN_SHARE else EXTRA)
        value = chance.choice(VALUES)
        data = json.dumps(good | {name: value}).encode()
        yield Body("shaped", f"{name[:20]}={str(value)[:20]}", data, is_json=True)


def example(schema: dict[str, Any], definitions: dict[str, Any], depth: int = 0) -> Any:
    """Some value that the schema allows, as far as its types tell."""
    found = _resolved(schema, definitions)
    for key in ("examples", "enum"):
        if found.get(key):
            return found[key][0]
    for key in ("const", "default"):
        if key in found:
            return found[key]
    for key in ("anyOf", "oneOf", "allOf"):
        if found.get(key):
            return example(found[key][0], definitions, depth)
    return _of_type(found, definitions, depth)


def _of_type(found: dict[str, Any], definitions: dict[str, Any], depth: int) -> Any:
    kind = found.get("type")
    if kind == "object":
        wanted = found.get("required", []) if depth < 6 else []
        return {
            name: example(found["properties"][name], definitions, depth + 1)
            for name in wanted
            if name in found.get("properties", {})
        }
    if kind == "array":
        return [example(found.get("items", {}), definitions, depth + 1)] * min(found.get("minItems", 0), 3)
    simple = {"string": "x" * max(1, found.get("minLength", 1)), "boolean": True, "null": None}
    number = found.get("minimum", 1)
    return simple.get(str(kind), number)


def _resolved(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = definitions[schema["$ref"].rsplit("/", 1)[-1]]
    return schema
