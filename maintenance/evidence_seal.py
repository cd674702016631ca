"""A sealed pack: a zip whose manifest names every file by SHA-256 and is signed. Needs no database.

    files ──> manifest.json (path, bytes, sha256 of each; heads of the timelines; roots) ──> manifest.sig (Ed25519)

The container is written in one way only (no compression, no clock), so that any byte of it that was changed shows,
also one that no file holds.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from core import merkle
from core.seals import Signer
from tickets.chain import canonical

FORMAT = 1
MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
TIMELINE = "timeline.json"
EPOCH = (1980, 1, 1, 0, 0, 0)  # of every entry: the container knows no clock
MOST_BYTES = 2 << 30
FROZEN = "frozen"
PIECE = 1 << 20

Content = bytes | Path  # a file of the pack, or where it lies


class Sealer(Signer, Protocol):
    """Signs, and names the key that its signatures are checked with (hex)."""

    @property
    def public(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Checked:
    """What a pack says of itself, what is wrong with it, and what the reader should know. No problems: whole."""

    manifest: Mapping[str, Any]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


# -- making -----------------------------------------------------------------------------------------------------------


def seal(files: Mapping[str, bytes], about: Mapping[str, Any], signer: Sealer | None) -> bytes:
    """The pack. ``about`` goes into the manifest; its ``orders`` list timelines and the roots they are under."""
    buffer = io.BytesIO()
    seal_into(buffer, files, about, signer)
    return buffer.getvalue()


def seal_into(out: IO[bytes], files: Mapping[str, Content], about: Mapping[str, Any], signer: Sealer | None) -> None:
    """Write the pack into a file that can be rewound, a piece at a time: what lies on the disk stays there."""
    manifest = {
        **about,
        "format": FORMAT,
        "key": None if signer is None else signer.public,
        "files": [
            {"path": path, "bytes": size(content), "sha256": _digest(content)}
            for path, content in sorted(files.items())
        ],
    }
    raw = canonical(manifest).encode()
    signature = b"" if signer is None else signer.sign(raw).hex().encode()
    container_into(out, {MANIFEST: raw, SIGNATURE: signature, **dict(sorted(files.items()))})


def container(files: Mapping[str, bytes]) -> bytes:
    """A zip of these files in this order; the same files are the same bytes."""
    buffer = io.BytesIO()
    container_into(buffer, files)
    return buffer.getvalue()


def container_into(out: IO[bytes], files: Mapping[str, Content]) -> None:
    """The zip, written into a file that can be rewound."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as made:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path, EPOCH)
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            entry.file_size = size(content)
            with made.open(entry, "w") as writing:
                for piece in _pieces(content):
                    writing.write(piece)


def size(content: Content) -> int:
    """Bytes."""
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _pieces(content: Content) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as reading:
        while piece := reading.read(PIECE):
            yield piece


def path_of(contents: Sequence[bytes], index: int) -> list[tuple[str, str]]:
    """What leads from one thing to the root of all (``core.merkle.root``): (side of the other, its hash) upwards."""
    level, steps = [merkle.leaf(each) for each in contents], []
    while len(level) > 1:
        other = index ^ 1
        if other < len(level):
            steps.append(("left" if other < index else "right", level[other].hex()))
        paired = [_node(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
        level, index = paired + level[len(paired) * 2 :], index // 2
    return steps


# -- checking ---------------------------------------------------------------------------------------------------------


def check(content: bytes, *, key: str | None = None, anchor: tuple[int, str] | None = None) -> Checked:
    """Is the pack whole? ``key`` (hex): the instance's public key as it was noted elsewhere; ``anchor``: number and
    beginning of the hash of a root that was noted elsewhere. Never raises for what is wrong with the content."""
    try:
        names, files, broken = _unpacked(content)
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, RuntimeError, NotImplementedError):
        return Checked({}, ("This is no evidence pack, or its container was altered.",), ())
    try:
        return _checked(content, names, files, broken, key=key, anchor=anchor)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        return Checked({}, (f"{MANIFEST} was altered: it cannot be read ({type(error).__name__}).",), ())


def _checked(
    content: bytes,
    names: Sequence[str],
    files: Mapping[str, bytes],
    broken: Sequence[str],
    *,
    key: str | None,
    anchor: tuple[int, str] | None,
) -> Checked:
    problems = [f"{name} was altered: its checksum does not hold." for name in broken]
    if MANIFEST not in files or SIGNATURE not in files:
        gone = [f"{name} was removed." for name in (MANIFEST, SIGNATURE) if name not in names]
        return Checked({}, (*problems, *gone), ())
    manifest = json.loads(files[MANIFEST])
    notes: list[str] = []
    problems += _signature_problems(files, manifest, key, notes)
    problems += _file_problems(names, files, broken, manifest)
    for order in manifest["orders"]:
        problems += _order_problems(order, files, manifest["key"], notes)
    if anchor is not None:
        problems += _anchor_problems(manifest["orders"], anchor)
    if not problems and container({name: files[name] for name in names}) != content:
        problems.append("The container was altered: its entries are whole, the bytes around them are not.")
    return Checked(manifest, tuple(dict.fromkeys(problems)), tuple(notes))


def _unpacked(content: bytes) -> tuple[list[str], dict[str, bytes], list[str]]:
    """(names in their order, what could be read, names whose checksum does not hold)."""
    with zipfile.ZipFile(io.BytesIO(content)) as pack:
        entries = pack.infolist()
        if sum(each.file_size for each in entries) > MOST_BYTES:
            raise ValueError("larger than any pack of ours")
        files, broken = {}, []
        for entry in entries:
            if entry.compress_type != zipfile.ZIP_STORED:  # none of ours is; nothing is unpacked on a stranger's word
                broken.append(entry.filename)
                continue
            try:
                files[entry.filename] = pack.read(entry)
            except (zipfile.BadZipFile, OSError, ValueError, EOFError, RuntimeError, NotImplementedError):
                broken.append(entry.filename)
    return [each.filename for each in entries], files, broken


def _signature_problems(
    files: Mapping[str, bytes], manifest: Mapping[str, Any], key: str | None, notes: list[str]
) -> Iterator[str]:
    if manifest["key"] is None:
        if key is not None:
            yield "Nobody signed this pack."
        else:
            notes.append("Nobody signed this pack: it shows what was damaged, not who made it.")
        return
    if key is not None and manifest["key"] != key:
        yield f"The pack is signed with another key: {manifest['key']}."
    if not _signed(key or manifest["key"], files[MANIFEST], files[SIGNATURE]):
        yield f"{MANIFEST} was altered: its signature does not hold."
    if key is None:
        notes.append(f"Signed with the key {manifest['key']}: compare it with the one that the plant tells.")


def _file_problems(
    names: Sequence[str], files: Mapping[str, bytes], broken: Sequence[str], manifest: Mapping[str, Any]
) -> Iterator[str]:
    listed = {each["path"]: each for each in manifest["files"]}
    for path, each in listed.items():
        if path not in names:
            yield f"{path} was removed."
        elif path not in broken and (len(files[path]), _digest(files[path])) != (each["bytes"], each["sha256"]):
            yield f"{path} was altered."
    known = [MANIFEST, SIGNATURE, *listed]
    for name in names:
        if name not in known:
            yield f"{name} was added."
        elif names.count(name) > 1:
            yield f"{name} is there more than once."
    if set(names) == set(known) and list(names) != known:
        yield "The files are not in the order of the manifest."


def _order_problems(
    order: Mapping[str, Any], files: Mapping[str, bytes], key: str | None, notes: list[str]
) -> Iterator[str]:
    path, ref = order["folder"] + TIMELINE, order["ref"]
    events = _events(files.get(path, b"[]"))
    previous = ""
    for position, event in enumerate(events, start=1):
        if event["seq"] != position or event["prev"] != previous or event["hash"] != event_hash(event):
            yield f"{path}: event {position} of {ref} was changed."
            break
        previous = event["hash"]
    if (len(events), previous) != (order["events"], order["head"]):
        yield f"{path}: the timeline of {ref} does not end as the manifest says."
    yield from _frozen_problems(order, files, events)
    yield from _root_problems(order, events, key, notes)


def _events(content: bytes) -> list[dict[str, Any]]:
    """A timeline; one that cannot be read has no events, and so does not end as the manifest says."""
    try:
        found: list[dict[str, Any]] = json.loads(content)
    except ValueError:
        return []
    return found


def _frozen_problems(
    order: Mapping[str, Any], files: Mapping[str, bytes], events: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    noted = {
        each["body"]["body"]["sha256"]
        for each in events
        if each["kind"] == "evidence" and each["body"].get("kind") == FROZEN
    }
    for name in order["frozen"]:
        path = order["folder"] + name
        if path in files and _digest(files[path]) not in noted:
            yield f"{path} is not what the timeline of {order['ref']} says was frozen."


def _root_problems(
    order: Mapping[str, Any], events: Sequence[Mapping[str, Any]], key: str | None, notes: list[str]
) -> Iterator[str]:
    root = order["root"]
    if root is None:
        notes.append(f"{order['ref']}: no signed root covers it yet.")
        return
    ticket_id, count, digest = root["leaf"]
    if ticket_id != order["ticket_id"] or len(events) < count or events[count - 1]["hash"] != digest:
        yield f"{order['ref']}: its timeline is not the one that root {root['seq']} saw."
    if climbed(canonical(root["leaf"]).encode(), root["path"]) != root["root"] or root_hash(root) != root["hash"]:
        yield f"{order['ref']}: root {root['seq']} was changed."
    if key is not None and not _signed(key, bytes.fromhex(root["hash"]), root["signature"].encode()):
        yield f"{order['ref']}: root {root['seq']} is not signed with this key."
    if len(events) > count:
        notes.append(f"{order['ref']}: {len(events) - count} events are newer than root {root['seq']}.")


def _anchor_problems(orders: Sequence[Mapping[str, Any]], anchor: tuple[int, str]) -> Iterator[str]:
    seq, begins = anchor
    found = [each["root"] for each in orders if each["root"] is not None and each["root"]["seq"] == seq]
    if not found:
        yield f"No order of this pack is under root {seq}."
    elif not all(each["hash"].startswith(begins) for each in found):
        yield f"Root {seq} is not the one that was noted elsewhere."


def event_hash(event: Mapping[str, Any]) -> str:
    """As ``tickets.chain.event_hash``, of an event of the pack."""
    return hashlib.sha256(canonical({name: event[name] for name in event if name != "hash"}).encode()).hexdigest()


def root_hash(root: Mapping[str, Any]) -> str:
    """As ``tickets.roots.root_hash``, of a root of the pack."""
    named = ("site_id", "seq", "at", "horizon", "leaves", "root", "prev")
    return hashlib.sha256(canonical({name: root[name] for name in named}).encode()).hexdigest()


def climbed(content: bytes, steps: Sequence[Sequence[str]]) -> str:
    """The root that a thing and its path lead to, as hex."""
    found = merkle.leaf(content)
    for side, other in steps:
        found = _node(bytes.fromhex(other), found) if side == "left" else _node(found, bytes.fromhex(other))
    return found.hex()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(merkle.NODE + left + right).digest()


def _signed(key: str, content: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(bytes.fromhex(signature.decode("ascii")), content)
    except (InvalidSignature, ValueError):
        return False
    return True


def _digest(content: Content) -> str:
    found = hashlib.sha256()
    for piece in _pieces(content):
        found.update(piece)
    return found.hexdigest()
