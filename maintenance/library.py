"""The failure-mode libraries that every site has: those shipped, and those that a person put into the data directory.

A class inherits ``unknown`` from ``generic.toml``; a class nobody described has the generic modes. A file
``DATA_DIR/libraries/NAME.toml`` is a new class or stands for the shipped one; one that does not fit is left out, and
said. What an administrator uploaded for one site is in ``maintenance.libraries``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from core import log
from core.errors import ConfigError
from core.settings import settings
from maintenance.library_file import DIRECTIONS, LONGEST, Library, LibraryError, parse
from maintenance.model import UNKNOWN, Mode, Words

__all__ = ["DIRECTIONS", "FOLDER", "GENERIC", "Library", "LibraryError", "parse"]

FOLDER = Path(__file__).parent / "library"
OWN = "libraries"
GENERIC = "generic"
Stamp = tuple[tuple[str, int, int], ...]


def modes(asset_class: str) -> tuple[Mode, ...]:
    """Every failure mode of a class, ``unknown`` last; the generic ones for a class that nobody described."""
    known = described()
    return with_unknown(known.get(asset_class, known[GENERIC]))


def mode(asset_class: str, code: str) -> Mode:
    """One mode; a code that the class does not have (a person's own word) is its ``unknown``."""
    return pick(modes(asset_class), code)


def pick(known: tuple[Mode, ...], code: str) -> Mode:
    """The mode of that code, else ``unknown``."""
    return next((each for each in known if each.code == code), known[-1])


def classes() -> tuple[str, ...]:
    """The described asset classes in alphabetical order."""
    return tuple(sorted(described()))


def class_name(asset_class: str) -> Words:
    """What people call the class."""
    known = described()
    return known.get(asset_class, known[GENERIC]).name


def described() -> Mapping[str, Library]:
    """Asset class → library: shipped, and from the data directory where that has one of the same class."""
    own = settings().data_dir / OWN
    return shipped(FOLDER) | _own(own, _stamp(own))[0]


def refused() -> Mapping[str, str]:
    """File of the data directory → why it is left out."""
    own = settings().data_dir / OWN
    return _own(own, _stamp(own))[1]


def load(folder: Path) -> Mapping[str, tuple[Mode, ...]]:
    """Asset class → modes for every file of a folder. Raises LibraryError."""
    return {name: with_unknown(each, shipped(folder)) for name, each in shipped(folder).items()}


@cache
def shipped(folder: Path) -> dict[str, Library]:
    """Asset class → library for every file of a folder that must be whole. Raises LibraryError."""
    found = {each.asset_class: each for each in map(read, sorted(folder.glob("*.toml")))}
    if GENERIC not in found:
        raise LibraryError(f"{folder} has no {GENERIC}.toml, which gives every class the mode 'unknown'.")
    if not any(each.code == UNKNOWN for each in found[GENERIC].modes):
        raise LibraryError(f"{folder / GENERIC}.toml has no mode 'unknown'.")
    return found


def read(path: Path) -> Library:
    """The library of a file. Raises LibraryError, ConfigError when it cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(4 * LONGEST + 1)
        return parse(data.decode("utf-8"), path.name)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise LibraryError(f"{path.name} is no UTF-8 text.") from error


def with_unknown(library: Library, known: Mapping[str, Library] | None = None) -> tuple[Mode, ...]:
    """The library's modes and, last, ``unknown`` with the class's own skill, lead and cost."""
    generic = (known or shipped(FOLDER))[GENERIC]
    unknown = next(each for each in generic.modes if each.code == UNKNOWN)
    own = replace(
        unknown,
        asset_class=library.asset_class,
        signature=(),
        symptoms=(),
        skill=library.skill,
        typical_lead_h=library.lead_h,
        cost=library.cost,
        lockout=library.lockout or unknown.lockout,
    )
    return (*(each for each in library.modes if each.code != UNKNOWN), own)


def _stamp(folder: Path) -> Stamp:
    """Changes whenever a file of the folder does."""
    if not folder.is_dir():
        return ()
    seen = [(path.name, path.stat()) for path in sorted(folder.glob("*.toml"))]
    return tuple((name, facts.st_mtime_ns, facts.st_size) for name, facts in seen)


@cache
def _own(folder: Path, stamp: Stamp) -> tuple[dict[str, Library], dict[str, str]]:
    found: dict[str, Library] = {}
    refusals: dict[str, str] = {}
    for name, *_ in stamp:
        try:
            made = read(folder / name)
            _admit(made, found)
        except (LibraryError, ConfigError) as error:
            refusals[name] = error.message
            log.get("library").warning("library.refused", file=name, why=error.message)
        else:
            found[made.asset_class] = made
    return found, refusals


def _admit(made: Library, found: Mapping[str, Library]) -> None:
    if made.asset_class == GENERIC:
        raise LibraryError("The class 'generic' is the product's own: every class takes 'unknown' from it.")
    if made.asset_class in found:
        raise LibraryError(f"Another file describes the class {made.asset_class!r} already. Keep one of them.")
