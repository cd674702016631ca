"""One order, or a machine's year, as one signed file: pages that open anywhere, the data, and what proves both."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from psycopg import Connection

from core.errors import NotFound
from maintenance import evidence, evidence_page, evidence_seal
from maintenance.evidence import Frozen
from maintenance.evidence_page import Document
from maintenance.evidence_seal import TIMELINE, Sealer
from plant import assets
from tickets import store as tickets_store
from tickets.chain import canonical, time_text
from tickets.export_pdf import FONT_FOLDERS, NO_FONT, PdfFailed, han_font
from tickets.model import Ticket

CHILD = Path(__file__).with_name("evidence_pdf_child.py")
WITHIN_S = 55.0
MOST_PDF_ROWS = 200  # of one table; the page and the data hold all
MOST_ORDERS = 2000


class _Signing:
    """Who signs in this process; nobody signs nothing."""

    sealer: Sealer | None = None


@dataclass(frozen=True, slots=True)
class Pack:
    """A file to be kept."""

    name: str
    content: bytes


def sign_with(sealer: Sealer | None) -> None:
    """From now on this process signs its packs so."""
    _Signing.sealer = sealer


def order(conn: Connection, ticket: Ticket, *, now: datetime) -> Pack:
    """The pack of one order, as it stands."""
    document, files, about = _order(conn, ticket, folder="")
    root = evidence.roots_of(conn, [ticket.ticket_id]).get(ticket.ticket_id)
    files |= {"index.html": evidence_page.html(document), "report.pdf": pdf(document)}
    head = {"what": "order", "ref": ticket.ref, "made_at": time_text(now), "orders": [{**about, "root": root}]}
    return Pack(f"{ticket.ref}.evidence.zip", evidence_seal.seal(files, head, _Signing.sealer))


def asset_year(conn: Connection, asset_id: int, number: int, out: IO[bytes], *, now: datetime) -> str:
    """All orders of a machine that opened in that year (UTC), written into ``out``, which can be rewound; returns the
    pack's name. One order at a time is in memory. Raises NotFound."""
    asset = assets.asset(conn, asset_id)
    ids = _orders(conn, asset_id, number)
    if not ids:
        raise NotFound(f"{asset.code} had no order in {number}.")
    with tempfile.TemporaryDirectory(prefix="millwright-pack-") as folder:
        year = _Year(conn, Path(folder), evidence.roots_of(conn, ids[:MOST_ORDERS]))
        for ticket_id in ids[:MOST_ORDERS]:
            year.add(tickets_store.get(conn, ticket_id))
        contents = evidence_page.year(asset.code, number, year.shown, of=len(ids))
        year.keep("index.html", evidence_page.html(contents))
        year.keep("report.pdf", pdf(contents))
        head = {"what": "year", "ref": asset.code, "year": number, "made_at": time_text(now), "orders": year.listed,
                "orders_of_the_year": len(ids)}  # fmt: skip
        evidence_seal.seal_into(out, year.files, head, _Signing.sealer)
    return f"{asset.code}-{number}.evidence.zip"


class _Year:
    """The files of a year's orders on the disk, and what is said of them."""

    def __init__(self, conn: Connection, folder: Path, roots: Mapping[int, Any]) -> None:
        self.files: dict[str, Path] = {}
        self.listed: list[dict[str, Any]] = []
        self.shown: list[tuple[str, Mapping[str, Any]]] = []
        self._conn, self._folder, self._roots = conn, folder, roots

    def add(self, ticket: Ticket) -> None:
        """One order."""
        place = f"{ticket.ref}/"
        document, inside, about = _order(self._conn, ticket, folder=place)
        for path, content in {**inside, f"{place}index.html": evidence_page.html(document)}.items():
            self.keep(path, content)
        self.listed.append({**about, "root": self._roots.get(ticket.ticket_id)})
        self.shown.append((place, evidence.plain({name: getattr(ticket, name) for name in evidence.TICKET})))

    def keep(self, path: str, content: bytes) -> None:
        """A file of the pack; on the disk its name is a number."""
        self.files[path] = self._folder / str(len(self.files))
        self.files[path].write_bytes(content)


def pdf(document: Document) -> bytes:
    """The document on A4, by typst in a child with limits. Raises PdfFailed."""
    said = json.dumps(_printed(document), ensure_ascii=False).encode()
    with tempfile.TemporaryDirectory(prefix="millwright-pdf-") as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-I", str(CHILD), folder, *(str(each) for each in FONT_FOLDERS if each.is_dir())],
                input=said,
                capture_output=True,
                timeout=WITHIN_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise PdfFailed(f"The report was not set within {WITHIN_S:g} seconds.") from error
    if done.returncode != 0 or not done.stdout.startswith(b"%PDF"):
        raise PdfFailed
    return done.stdout


def _printed(document: Document) -> dict[str, Any]:
    parts = [asdict(each) for each in document.sections]
    for each in parts:
        if len(each["rows"]) > MOST_PDF_ROWS:
            each["notes"] = [*each["notes"], f"{MOST_PDF_ROWS} / {len(each['rows'])}: index.html"]
            each["rows"] = each["rows"][:MOST_PDF_ROWS]
    notes = [] if han_font() else [NO_FONT]
    blank = {"heading": "", "notes": notes, "heads": [], "rows": [], "plots": []}
    return {"title": document.title, "sections": [*([blank] if notes else []), *parts]}


def _order(conn: Connection, ticket: Ticket, *, folder: str) -> tuple[Document, dict[str, bytes], dict[str, Any]]:
    """(what its page shows, its files, what the manifest says of it)."""
    kept = evidence.frozen(conn, ticket.ticket_id)
    events = evidence.events_of(tickets_store.timeline(conn, ticket.ticket_id))
    read = [each.read() for each in kept]
    files = {f"{folder}{each.name}": each.content for each in kept}
    files[f"{folder}{TIMELINE}"] = canonical(events).encode()
    for each, content in zip(kept, read, strict=True):
        files |= {f"{folder}data/{path}": table for path, table in _tables(each, content)}
    about = {
        "ticket_id": ticket.ticket_id,
        "ref": ticket.ref,
        "folder": folder,
        "events": len(events),
        "head": events[-1]["hash"] if events else "",
        "frozen": [each.name for each in kept],
    }
    return evidence_page.order(ticket.ref, read, events), files, about


def _tables(kept: Frozen, content: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """The frozen signals and their limits as CSV; times in ms since 1970, values in the unit of the heading."""
    stem = kept.name.removesuffix(".json")
    for place, line in enumerate(content["signals"], start=1):
        name = f"{stem}-{place:02d}-{_safe(line['code'])}"
        yield f"{name}.csv", _csv(("at_ms", f"value ({line['unit']})"), (line["at"], line["value"]))
        bands = line["bands"]
        columns = (bands["at"], bands["low"], bands["expected"], bands["high"])
        yield f"{name}-limits.csv", _csv(("at_ms", "low", "expected", "high"), columns)


def _csv(heads: Sequence[str], columns: Sequence[Sequence[Any]]) -> bytes:
    lines = [",".join(each.replace(",", " ") for each in heads)]
    lines += [",".join("" if cell is None else repr(cell) for cell in row) for row in zip(*columns, strict=True)]
    return ("\r\n".join(lines) + "\r\n").encode()


def _safe(code: str) -> str:
    """A signal's code as part of a file name anywhere."""
    return "".join(each if each.isascii() and (each.isalnum() or each in "_-") else "_" for each in code)[:60]


def _orders(conn: Connection, asset_id: int, number: int) -> list[int]:
    since, until = evidence.year(number)
    rows = conn.execute(
        "select ticket_id from tickets where asset_id = %s and opened_at >= %s and opened_at < %s order by ticket_id",
        (asset_id, since, until),
    )
    return [ticket_id for (ticket_id,) in rows]
