"""Tools that read: tickets and why they opened, machines, predictions, plans, stock, guides, indicators."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Any, Literal

from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from api.tools.door import Asking, Found, ask, may_ask, tool

REF = re.compile(r"[A-Z]{2,4}-\d{4}-\d{6,9}")
FIND, READ, EVENTS = "GET /tickets", "GET /tickets/{ticket_id}", "GET /tickets/{ticket_id}/events"
PREDICTION, EVIDENCE = "GET /predictions/{prediction_id}", "GET /tickets/{ticket_id}/evidence"
MOST_PREDICTIONS = 3

Ticket = Annotated[str, Field(description="Its reference (WO-2026-000123) or number.", min_length=1, max_length=24)]
Words = Annotated[str, Field(description="What to look for, in English or Chinese.", max_length=200)]
Most = Annotated[int, Field(ge=1, le=50, description="At most so many.")]
Ident = Annotated[int, Field(ge=1, le=2**31 - 1)]


async def one_ticket(asking: Asking, ticket: str) -> Found:
    """A ticket by reference or number. Raises ToolError, the same for one that is missing and one of another site."""
    name = ticket.strip().upper()
    if REF.fullmatch(name):
        items = (await ask(asking, FIND, params={"q": name, "limit": 5})).body["items"]
        found = [each["ticket_id"] for each in items if each["ref"] == name]
        name = str(found[0]) if found else ""
    if not (name.isascii() and name.isdigit() and 0 < int(name) < 2**31):
        raise ToolError(f"There is no ticket {ticket.strip()!r} that you may see.")
    try:
        return await ask(asking, READ, path={"ticket_id": int(name)})
    except ToolError as error:
        if "(not_found)" in str(error):
            raise ToolError(f"There is no ticket {ticket.strip()!r} that you may see.") from error
        raise


@tool("GET /me")
async def who_am_i(ctx: Asking) -> Any:
    """Who you act for, on which site, with which role: your rights are theirs."""
    return (await ask(ctx, "GET /me")).body


@tool("GET /search")
async def search(ctx: Asking, text: Words, limit: Most = 20) -> Any:
    """Find tickets with their comments, machines, guides and people, best first; forgives typing errors."""
    return (await ask(ctx, "GET /search", params={"q": text, "limit": limit})).body


@tool(FIND)
async def find_tickets(
    ctx: Asking,
    open: bool | None = True,  # noqa: A002 - the name agents see
    status: str | None = None,
    kind: str | None = None,
    text: Words = "",
    asset_id: Ident | None = None,
    limit: Most = 20,
) -> Any:
    """Tickets, newest first. `open` null: finished ones too. `status` and `kind`: one or more, separated by commas."""
    asked = {"status": status, "kind": kind, "q": text, "asset_id": asset_id, "limit": limit}
    flag = None if open is None else str(open).lower()
    return (await ask(ctx, FIND, params={**asked, "open": flag})).body


@tool(FIND, READ, EVENTS, "GET /tickets/{ticket_id}/around")
async def read_ticket(ctx: Asking, ticket: Ticket) -> Any:
    """One ticket: everything on its screen, what it is linked with, and its newest timeline entries."""
    detail = (await one_ticket(ctx, ticket)).body
    path = {"ticket_id": detail["ticket_id"]}
    events = await may_ask(ctx, EVENTS, path=path, params={"limit": 200})
    around = await may_ask(ctx, "GET /tickets/{ticket_id}/around", path=path)
    return {"ticket": detail, "around": around, "timeline": _newest(events)}


def _newest(events: Any) -> Any:
    return events.get("items", events)[-30:] if isinstance(events.get("items"), list) else events


@tool(FIND, READ, EVENTS, EVIDENCE, PREDICTION)
async def why_did_it_open(ctx: Asking, ticket: Ticket) -> Any:
    """Why an order opened: what opened it, the findings and their evidence, the path of the decision with its costs."""
    detail = (await one_ticket(ctx, ticket)).body
    path = {"ticket_id": detail["ticket_id"]}
    events, frozen = await asyncio.gather(
        may_ask(ctx, EVENTS, path=path, params={"limit": 50}), may_ask(ctx, EVIDENCE, path=path)
    )
    first = [each for each in events.get("items", []) if each["kind"] in ("opened", "evidence", "assigned")][:10]
    paths = [
        await may_ask(ctx, PREDICTION, path={"prediction_id": ident}) for ident in _predictions(detail["evidence"])
    ]
    told = {name: detail[name] for name in ("ref", "title", "kind", "status", "priority", "mode", "evidence")}
    return {"ticket": told, "first_events": first, "decision_paths": paths, "frozen_evidence": frozen}


def _predictions(evidence: list[dict[str, Any]]) -> list[int]:
    known = (each["body"].get("prediction_id") for each in evidence)
    return list(dict.fromkeys(each for each in known if isinstance(each, int)))[:MOST_PREDICTIONS]


@tool("GET /assets")
async def list_assets(ctx: Asking, cursor: str | None = None) -> Any:
    """The machines of the site with health, newest sample and open tickets; `next` is the cursor of the next ones."""
    return (await ask(ctx, "GET /assets", params={"limit": 50, "cursor": cursor})).body


@tool("GET /assets/{asset_id}")
async def read_asset(ctx: Asking, asset_id: Ident) -> Any:
    """One machine: its signals with their newest values and units, alarms, predictions, health."""
    return (await ask(ctx, "GET /assets/{asset_id}", path={"asset_id": asset_id})).body


@tool("GET /alarms")
async def list_alarms(ctx: Asking, state: str | None = "open", asset_id: Ident | None = None, limit: Most = 20) -> Any:
    """Alarms, newest first; `state` open is all but cleared ones, null all."""
    return (await ask(ctx, "GET /alarms", params={"state": state, "asset_id": asset_id, "limit": limit})).body


@tool("GET /predictions")
async def list_predictions(ctx: Asking, limit: Most = 20) -> Any:
    """The newest prediction of every open alarm, highest risk first: failure mode, remaining life with its interval."""
    return (await ask(ctx, "GET /predictions", params={"limit": limit})).body


@tool(PREDICTION)
async def read_prediction(ctx: Asking, prediction_id: Ident) -> Any:
    """One prediction with the path of its decision."""
    return (await ask(ctx, PREDICTION, path={"prediction_id": prediction_id})).body


@tool("GET /plans")
async def list_plans(ctx: Asking) -> Any:
    """The newest dispatch plans: drafts, the one that stands, and those before it."""
    return (await ask(ctx, "GET /plans")).body


@tool("GET /plans/{plan_id}")
async def read_plan(ctx: Asking, plan_id: Ident) -> Any:
    """A dispatch plan: visits, each with why this person and why then; what is left over with why. Costs are seconds
    of travel; `moved` is the share of jobs whose people or time change."""
    return (await ask(ctx, "GET /plans/{plan_id}", path={"plan_id": plan_id})).body


@tool("GET /plan-schedule")
async def preventive_schedule(ctx: Asking, weeks: Annotated[int, Field(ge=1, le=26)] = 4) -> Any:
    """The preventive visits of the weeks to come."""
    return (await ask(ctx, "GET /plan-schedule", params={"weeks": weeks})).body


@tool("GET /stock", "GET /purchase-requests")
async def stock(ctx: Asking, what: Literal["levels", "purchase_requests"] = "levels") -> Any:
    """What lies in which store, what of it is free and what too little; or what was asked for."""
    return (await ask(ctx, "GET /stock" if what == "levels" else "GET /purchase-requests")).body


@tool(FIND, READ, "GET /tickets/{ticket_id}/guides", "GET /tickets/{ticket_id}/similar")
async def guides_for_ticket(ctx: Asking, ticket: Ticket) -> Any:
    """The guides that fit a ticket, best first with why, and similar orders with what fixed them."""
    path = {"ticket_id": (await one_ticket(ctx, ticket)).body["ticket_id"]}
    guides = await may_ask(ctx, "GET /tickets/{ticket_id}/guides", path=path)
    return {"guides": guides, "similar": await may_ask(ctx, "GET /tickets/{ticket_id}/similar", path=path)}


@tool("GET /articles/{article_id}")
async def read_guide(ctx: Asking, article_id: Ident) -> Any:
    """One guide with its steps."""
    return (await ask(ctx, "GET /articles/{article_id}", path={"article_id": article_id})).body


@tool("GET /indicators")
async def indicators(
    ctx: Asking, since: str | None = None, until: str | None = None, asset_id: Ident | None = None
) -> Any:
    """MTBF, MTTR, availability, planned share, compliance and backlog, of the site or one machine. Times: RFC 3339."""
    return (await ask(ctx, "GET /indicators", params={"since": since, "until": until, "asset_id": asset_id})).body
