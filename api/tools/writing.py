"""Tools that write: each is a dry run unless `dry_run` is false, shows its effect, and gives a handle to undo it.

A handle names the opposite step and the version that the step left behind: undoing is refused where somebody has worked
on the ticket since, and needs the same rights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from api.tools.door import Asking, Found, ask, tool
from api.tools.reading import FIND, READ, Ident, Ticket, one_ticket

OPEN, COMMENT = "POST /tickets", "POST /tickets/{ticket_id}/comments"
MOVE, GIVE = "POST /tickets/{ticket_id}/transition", "POST /tickets/{ticket_id}/assign"
PLAN, ACCEPT, DISCARD = "POST /plans", "POST /plans/{plan_id}/accept", "POST /plans/{plan_id}/discard"
SHOWN = ("status", "priority", "assignee", "respond_by", "resolve_by", "cost", "hold_reason", "verdict")
HOW = "Nothing was changed. Call again with dry_run=false to do it."
NO_WAY_BACK = "This cannot be undone: timelines are append-only."

DryRun = Annotated[bool, Field(description="true: only show what would happen.")]
Line = Annotated[str, Field(min_length=1, max_length=200)]
Said = Annotated[str, Field(min_length=1, max_length=20_000)]


@tool(OPEN, writes=True)
async def open_ticket(
    ctx: Asking,
    title: Line,
    kind: Literal["request", "incident", "corrective", "preventive", "inspection"] = "request",
    description: Annotated[str, Field(max_length=20_000)] = "",
    asset_id: Ident | None = None,
    mode: str | None = None,
    priority: Annotated[int, Field(ge=1, le=5, description="1 is the most urgent.")] = 3,
    dry_run: DryRun = True,
) -> Any:
    """Open a ticket. Shows who would get it, and its deadlines; where the machine has an open one of this failure mode
    that one is shown."""
    body = {"kind": kind, "title": title, "description": description, "priority": priority}
    body |= {name: value for name, value in (("asset_id", asset_id), ("mode", mode)) if value is not None}
    made = await ask(ctx, OPEN, body=body, dry_run=dry_run)
    undo = _handle("transition", made, to="cancelled", fields={"reason": "Undone"})
    return _done(dry_run, {"ticket": made.body, "effect": _effect({}, made.body)}, undo)


@tool(FIND, READ, COMMENT, writes=True)
async def comment_on_ticket(
    ctx: Asking,
    ticket: Ticket,
    text: Said,
    audience: Literal["internal", "requester"] = "internal",
    dry_run: DryRun = True,
) -> Any:
    """Comment on a ticket: `internal` for the crew, `requester` for the requester too. @login tells that person."""
    path = {"ticket_id": (await one_ticket(ctx, ticket)).body["ticket_id"]}
    said = await ask(ctx, COMMENT, path=path, body={"text": text, "audience": audience}, dry_run=dry_run)
    return _done(dry_run, {"event": said.body}, NO_WAY_BACK)


@tool(FIND, READ, MOVE, writes=True)
async def move_ticket(
    ctx: Asking,
    ticket: Ticket,
    to: Annotated[str, Field(description="One of the ticket's `allowed` states.", max_length=32)],
    fields: Annotated[dict[str, str] | None, Field(description="What the step requires: verdict, reason, …")] = None,
    dry_run: DryRun = True,
) -> Any:
    """Move a ticket along its life cycle."""
    before = await one_ticket(ctx, ticket)
    path = {"ticket_id": before.body["ticket_id"]}
    body = {"to": to, "fields": fields or {}}
    moved = await ask(ctx, MOVE, path=path, body=body, version=before.version, dry_run=dry_run)
    back = before.body["status"] in {each["to"] for each in moved.body["allowed"]}
    undo = _handle("transition", moved, to=before.body["status"], fields={"reason": "Undone"}) if back else NO_WAY_BACK
    return _done(dry_run, {"ticket": moved.body["ref"], "effect": _effect(before.body, moved.body)}, undo)


@tool(FIND, READ, GIVE, writes=True)
async def assign_ticket(ctx: Asking, ticket: Ticket, engineer_id: Ident | None = None, dry_run: DryRun = True) -> Any:
    """Give a ticket to an engineer; without one routing chooses and says why."""
    before = await one_ticket(ctx, ticket)
    path = {"ticket_id": before.body["ticket_id"]}
    given = await ask(ctx, GIVE, path=path, body={"engineer_id": engineer_id}, version=before.version, dry_run=dry_run)
    was = (before.body.get("assignee") or {}).get("engineer_id")
    undo = NO_WAY_BACK if was is None else _handle("assign", given, engineer_id=was)
    effect = _effect(before.body, given.body) | {"reasons": given.body["assignment_reasons"]}
    return _done(dry_run, {"ticket": given.body["ref"], "effect": effect}, undo)


@tool(PLAN, writes=True)
async def draft_next_weeks_plan(
    ctx: Asking, seconds: Annotated[float, Field(ge=1, le=25, description="How long the optimiser may look.")] = 10
) -> Any:
    """Draft the dispatch plan of the week to come. A draft is itself the dry run: nobody is assigned or told before it
    is accepted. Read it with read_plan until its status is `draft`, then accept_plan or discard_plan."""
    plan = (await ask(ctx, PLAN, body={"cause": "plan", "seconds": seconds})).body
    return {
        "plan_id": plan["plan_id"],
        "status": plan["status"],
        "undo": _text({"undo": "plan", "id": plan["plan_id"]}),
    }


@tool(ACCEPT, "GET /plans/{plan_id}", writes=True)
async def accept_plan(ctx: Asking, plan_id: Ident, dry_run: DryRun = True) -> Any:
    """Make a draft the plan that stands: orders are assigned, people are told. Shows cost, moved jobs and visits."""
    plan = (await ask(ctx, "GET /plans/{plan_id}", path={"plan_id": plan_id})).body
    done = await ask(ctx, ACCEPT, path={"plan_id": plan_id}, dry_run=dry_run)
    effect = {name: plan[name] for name in ("cost", "greedy_cost", "moved", "left_over", "visits")}
    return _done(dry_run, {"plan": done.body, "effect": effect}, "Draft another plan; visits can be moved one by one.")


@tool(DISCARD, writes=True)
async def discard_plan(ctx: Asking, plan_id: Ident, dry_run: DryRun = True) -> Any:
    """Throw a draft plan away."""
    plan = await ask(ctx, DISCARD, path={"plan_id": plan_id}, dry_run=dry_run)
    return _done(dry_run, {"plan": plan.body}, "Draft another plan.")


@tool(MOVE, GIVE, DISCARD, writes=True)
async def undo(ctx: Asking, handle: Annotated[str, Field(max_length=500)], dry_run: DryRun = True) -> Any:
    """Take back what a tool did, by the handle that it gave; refused where somebody has worked on it since."""
    step = _read(handle)
    if step["undo"] == "plan":
        done = await ask(ctx, DISCARD, path={"plan_id": step["id"]}, dry_run=dry_run)
        return _done(dry_run, {"plan": done.body}, None)
    body: dict[str, object] = {name: step[name] for name in ("to", "fields", "engineer_id") if name in step}
    route = MOVE if step["undo"] == "transition" else GIVE
    done = await ask(ctx, route, path={"ticket_id": step["id"]}, body=body, version=step["version"], dry_run=dry_run)
    return _done(dry_run, {"ticket": done.body["ref"], "status": done.body["status"]}, None)


def _done(dry_run: bool, told: Mapping[str, Any], undo_by: str | None) -> dict[str, Any]:
    return {"dry_run": True, "how": HOW, **told} if dry_run else {"done": True, "undo": undo_by, **told}


def _effect(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What changes of what matters: column → before and after. Costs are in the site's currency."""
    return {
        name: {"before": before.get(name), "after": after.get(name)}
        for name in SHOWN
        if before.get(name) != after.get(name)
    }


def _handle(kind: str, made: Found, **step: Any) -> str:
    return _text({"undo": kind, "id": made.body["ticket_id"], "version": made.body["version"], **step})


def _text(step: Mapping[str, Any]) -> str:
    return json.dumps(step, separators=(",", ":"))


def _read(handle: str) -> dict[str, Any]:
    try:
        step = json.loads(handle)
    except ValueError as error:
        raise ToolError("That is no handle of a tool of ours.") from error
    known = isinstance(step, dict) and step.get("undo") in ("transition", "assign", "plan")
    if not (
        known and isinstance(step.get("id"), int) and (step["undo"] == "plan" or isinstance(step.get("version"), int))
    ):
        raise ToolError("That is no handle of a tool of ours.")
    return dict(step)
