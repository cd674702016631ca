"""Frozen evidence and a timeline → a document → one HTML page that opens anywhere, without a network. Pure.

Everything that comes from outside is text: it is escaped, and the page forbids scripts and addresses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any

from maintenance import evidence_plot, sentences

MOST_CURVE = 40
LISTED = ("ref", "kind", "status", "title", "opened_at", "closed_at", "verdict")
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1c2730;background:#fff;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem;border-bottom:1px solid #ccd3da}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.25rem .6rem .25rem 0;border-bottom:1px solid #e4e8ec}
td{overflow-wrap:anywhere}svg{max-width:100%;height:auto}p.note{color:#51606d}@media print{body{margin:0}}"""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with notes, tables' rows below their heads, and plots (SVG)."""

    heading: str
    notes: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    plots: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    title: str
    sections: tuple[Section, ...]


def both(key: str, values: Mapping[str, Any] | None = None) -> str:
    """A sentence in both languages, one after the other."""
    said = sentences.say(f"evidence.{key}", values)
    return f"{said['en']} · {said['zh']}"


def order(ref: str, frozen: Sequence[Mapping[str, Any]], events: Sequence[Mapping[str, Any]]) -> Document:
    """What one order rests on, from what was frozen (oldest first) and its timeline."""
    sections = [Section(both("check"))]
    if not frozen:
        sections.append(Section(both("nothing")))
    for each in frozen[:1]:
        sections += _convinced(each)
    for each in frozen:
        sections.append(_plots(each))
        if each.get("verification"):
            sections.append(_proof(each["verification"]))
    return Document(both("title", {"ref": ref}), (*sections, _timeline(events)))


def year(asset: str, number: int, orders: Sequence[tuple[str, Mapping[str, Any]]], *, of: int) -> Document:
    """The contents of a year's pack: (folder, frozen ticket) of each order; ``of``: how many the year had."""
    rows = tuple((*(_told(each.get(name)) for name in LISTED), folder) for folder, each in orders)
    heads = (*(name.replace("_", " ") for name in LISTED), "folder")
    title = both("year", {"asset": asset, "year": str(number), "orders": len(orders)})
    notes = (both("part", {"orders": f"{len(orders):,}", "of": f"{of:,}"}),) if len(orders) < of else ()
    return Document(title, (Section(both("check")), Section(both("order"), notes, heads=heads, rows=rows)))


def html(document: Document) -> bytes:
    """One page; scripts, frames and addresses are forbidden to it."""
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        '<meta name="viewport" content="width=device-width">',
        f"<title>{escape(document.title)}</title><style>{STYLE}</style></head><body><h1>{escape(document.title)}</h1>",
        *(_section(each) for each in document.sections),
        "</body></html>",
    ]
    return "".join(parts).encode()


def _section(found: Section) -> str:
    heads = "".join(f"<th>{escape(each)}</th>" for each in found.heads)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in found.rows)
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>" if rows else ""
    notes = "".join(f'<p class="note">{escape(each)}</p>' for each in found.notes)
    return f"<h2>{escape(found.heading)}</h2>{notes}{table}{''.join(found.plots)}"


# -- sections ---------------------------------------------------------------------------------------------------------


def _convinced(frozen: Mapping[str, Any]) -> list[Section]:
    ticket = frozen["ticket"]
    facts = (
        ("asset", f"{frozen['asset']['code']} {frozen['asset']['name']}"),
        ("failure mode", _words(frozen["mode"]["name"])),
        *((name, _told(ticket[name])) for name in ("title", "kind", "priority", "opened_at", "resolve_by", "skill")),
    )
    alarms = frozen["alarms"]
    return [
        Section(both("order"), heads=("what", "value"), rows=facts),
        Section(both("decision"), heads=("at", "action", "why"), rows=tuple(_decisions(alarms))),
        Section(both("diagnosis"), heads=("failure mode", "P", "prior", "why"), rows=tuple(_diagnosis(alarms))),
        Section(
            both("forecast"),
            heads=("made at", "P10 (h)", "P50 (h)", "P90 (h)", "P(fail)", "within (h)", "model"),
            rows=tuple(_forecasts(alarms)),
        ),
        *_curve(frozen["curve"]),
        Section(
            both("detectors"),
            heads=("detector", "version", "findings", "first", "last"),
            rows=tuple(
                tuple(_told(each[name]) for name in ("detector", "version", "findings", "first_at", "last_at"))
                for each in frozen["detectors"]
            ),
        ),
        Section(
            both("limits"),
            heads=("quantity", "signals", "direction", "weight", "alert", "unit"),
            rows=tuple(
                tuple(_told(each[name]) for name in ("quantity", "words", "direction", "weight", "alert", "unit"))
                for each in frozen["limits"]
            ),
        ),
    ]


def _decisions(alarms: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    return [
        (_told(each["at"]), _told(each["action"]), " / ".join(_words(why) for why in each["reasons"]))
        for alarm in alarms
        for each in reversed(alarm["decisions"])
    ]


def _diagnosis(alarms: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    return [
        (_words(each["mode"]["name"]), _told(each["probability"]), _told(each["prior"]), _words(each["why"]))
        for alarm in alarms
        for each in alarm["diagnosis"]
    ]


def _forecasts(alarms: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    names = ("made_at", "p10_h", "p50_h", "p90_h", "p_fail_horizon", "horizon_h")
    return [
        (*(_told(each[name]) for name in names), f"{each['model']} {each['version']}")
        for alarm in alarms
        for each in reversed(alarm["predictions"])
    ]


def _curve(found: Mapping[str, Any] | None) -> list[Section]:
    if found is None:
        return []
    step = max(1, len(found["points"]) // MOST_CURVE)
    rows = tuple((_told(each["start_at"]), _told(each["total"])) for each in found["points"][::step])
    notes = tuple(_words(each) for each in found["reasons"])
    return [Section(both("curve"), notes, ("begin at", f"expected cost ({found['currency']})"), rows)]


def _plots(frozen: Mapping[str, Any]) -> Section:
    what = sentences.say(f"evidence.{frozen['what']}")
    marks = {"opened": _ms(frozen["ticket"]["opened_at"])}
    marks |= {name: _ms(at) for name, at in (("done", frozen["ticket"]["done_at"]),) if at}
    return Section(
        both("signals", {"what": what}), plots=tuple(evidence_plot.svg(each, marks) for each in frozen["signals"])
    )


def _proof(found: Mapping[str, Any]) -> Section:
    rows = tuple(
        (_told(each["code"]), _told(each["before"]), _told(each["after"]), _told(each["inside"]))
        for each in found["signals"]
    )
    notes = (_words(found["detail"]), f"{_told(found['running_h'])} h · left {_told(found['left'])}")
    return Section(both("verification"), notes, ("signal", "before (half bands)", "after", "inside (share)"), rows)


def _timeline(events: Sequence[Mapping[str, Any]]) -> Section:
    rows = tuple(
        (str(each["seq"]), each["at"], _told(each["actor"][2] or each["actor"][0]), each["kind"], _step(each["body"]))
        for each in events
    )
    return Section(both("timeline"), heads=("#", "at", "who", "what", "detail"), rows=rows)


def _step(body: Mapping[str, Any]) -> str:
    named = [
        f"{name}: {_told(body[name])}" for name in ("from", "to", "note", "reason", "verdict", "text") if body.get(name)
    ]
    return "; ".join(named) or _told(body.get("kind"))


def _words(found: Any) -> str:
    if isinstance(found, Mapping):
        return " · ".join(str(found[language]) for language in ("en", "zh") if found.get(language))
    return _told(found)


def _told(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return sentences.number(value)
    if isinstance(value, Mapping):
        return _words(value) if "en" in value else "; ".join(f"{key}: {_told(each)}" for key, each in value.items())
    return ", ".join(map(_told, value)) if isinstance(value, list | tuple) else str(value)


def _ms(at: str) -> int:
    return int(datetime.fromisoformat(at).timestamp() * 1000)
