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
from typing import Any

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


def asset_year(conn: Connection, asset_id: int, number: int, *, now: datetime) -> Pack:
    """All orders of a machine that opened in that year (UTC). Raises NotFound."""
    asset = assets.asset(conn, asset_id)
    found = _orders(conn, asset_id, number)
    if not found:
        raise NotFound(f"{asset.code} had no order in {number}.")
    roots = evidence.roots_of(conn, [each.ticket_id for each in found])
    files: dict[str, bytes] = {}
    listed, shown = [], []
    for ticket in found:
        folder = f"{ticket.ref}/"
        document, inside, about = _order(conn, ticket, folder=folder)
        files |= {**inside, f"{folder}index.html": evidence_page.html(document)}
        listed.append({**about, "root": roots.get(ticket.ticket_id)})
        shown.append((folder, evidence.plain({name: getattr(ticket, name) for name in evidence.TICKET})))
    contents = evidence_page.year(asset.code, number, shown)
    files |= {"index.html": evidence_page.html(contents), "report.pdf": pdf(contents)}
    head = {"what": "year", "ref": asset.code, "year": number, "made_at": time_text(now), "orders": listed}
    return Pack(f"{asset.code}-{number}.evidence.zip", evidence_seal.seal(files, head, _Signing.sealer))


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


def _orders(conn: Connection, asset_id: int, number: int) -> list[Ticket]:
    since, until = evidence.year(number)
    rows = conn.execute(
        """select ticket_id from tickets where asset_id = %s and opened_at >= %s and opened_at < %s
           order by ticket_id limit %s""",
        (asset_id, since, until, MOST_ORDERS),
    ).fetchall()
    return tickets_store.of_ids(conn, [row[0] for row in rows])
