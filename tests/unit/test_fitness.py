"""What is worth saying twice is a check: transactions, ticket rows, the clock, imports, documentation."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import locks

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("core", "plant", "edge", "ingest", "detectors", "maintenance", "tickets", "api", "simulators")
LONGEST_FILE = 450


def sources(*rooms: str) -> Iterator[tuple[str, str]]:
    for room in rooms or ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            yield str(path.relative_to(ROOT)), path.read_text()


def offenders(pattern: str, *, allowed: set[str], rooms: tuple[str, ...] = ROOMS) -> list[str]:
    return [name for name, text in sources(*rooms) if name not in allowed and re.search(pattern, text)]


def test_transactions_begin_and_end_only_in_core_database() -> None:
    served = tuple(room for room in ROOMS if room not in ("simulators", "edge"))
    assert offenders(r"\.(commit|rollback)\(\)|\.transaction\(\)", allowed={"core/database.py"}, rooms=served) == []


def test_ticket_rows_are_written_only_in_the_ticket_store() -> None:
    writes = r"(?i)\b(insert into|update|delete from)\s+(tickets|ticket_events)\b"
    assert offenders(writes, allowed={"tickets/store.py"}) == []


def test_only_the_clock_reads_the_time_of_day() -> None:
    # a simulator is not the product: it has a clock of its own, told over the wire
    rooms = tuple(room for room in ROOMS if room not in ("simulators", "edge"))
    assert offenders(r"datetime\.now\(|datetime\.utcnow\(|date\.today\(", allowed={"core/clock.py"}, rooms=rooms) == []


def test_nothing_is_unpickled_or_evaluated() -> None:
    assert offenders(r"\bimport pickle\b|\bpickle\.loads?\b|(?<![\w.])eval\(|yaml\.load\(", allowed=set()) == []


def test_no_two_parts_take_the_same_advisory_lock() -> None:
    numbers = [value for name, value in vars(locks).items() if name.isupper()]
    assert len(numbers) > 5 and len(set(numbers)) == len(numbers)
    assert offenders(r"\b74_?18_?\d{3}\b|\b7_418_\d{3}\b", allowed={"core/locks.py"}) == []
    assert offenders(r"advisory(_xact)?_lock\(\d", allowed=set()) == []


def test_files_stay_short() -> None:
    long = {name: count for name, text in sources() if (count := text.count("\n")) > LONGEST_FILE}
    assert long == {}


def test_no_room_imports_a_room_inside_a_function() -> None:
    found = []
    for name, text in sources():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                inner = (each for each in ast.walk(node) if isinstance(each, ast.ImportFrom))
                found += [f"{name}:{each.lineno}" for each in inner if (each.module or "").split(".")[0] in ROOMS]
    assert found == []


def headings(document: str) -> set[str]:
    text = (ROOT / "docs" / document).read_text()
    return {match.group(1).strip() for match in re.finditer(r"^#{2,4} `?([\w.\-]+)`?", text, re.MULTILINE)}


def test_every_setting_is_documented() -> None:
    from core.settings import Settings

    assert set(Settings.model_fields) <= headings("settings.md")


def test_every_setting_is_used() -> None:
    from core.settings import Settings

    text = "\n".join(text for name, text in sources() if name != "core/settings.py")
    assert [name for name in Settings.model_fields if not re.search(rf"\.{name}\b", text)] == []


def test_every_verb_is_documented() -> None:
    from api.cli import VERBS

    assert set(VERBS) <= headings("commands.md")


def test_every_error_code_is_documented() -> None:
    codes = set()
    for _, text in sources():
        codes |= set(re.findall(r'^    code(?:: ClassVar\[str\])? = "([a-z0-9_]+)"', text, re.MULTILINE))
    assert codes - headings("errors.md") == set()


@pytest.mark.parametrize(
    ("package", "document"),
    [("edge.codecs", "telemetry.md"), ("edge.sources", "telemetry.md"), ("detectors.algorithms", "detectors.md")],
)
def test_every_plugin_is_documented(package: str, document: str) -> None:
    from core import registry

    assert set(registry.load(package)) <= headings(document)


def test_no_file_names_a_registry_or_a_lock_with_addresses() -> None:
    for lock in ROOT.glob("requirements*.lock"):
        assert "://" not in lock.read_text(), lock
    assert not (ROOT / "uv.lock").exists()
