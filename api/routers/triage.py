"""Triage: what closed tickets say of a new one. It offers; people set."""

from __future__ import annotations

from dataclasses import asdict

from api.deps import Ctx, router
from api.own import readable
from api.policies import allow
from api.shapes import Id, Output, Words
from tickets.triage import store
from tickets.triage.suggest import Suggestion, Target

routes = router("tickets")


class ChoiceShown(Output):
    """``label``: an engineer's id, a skill, a priority 1 to 5, or a failure mode. ``confidence`` 0 to 1."""

    label: str
    name: str | None
    confidence: float
    reasons: list[Words]


class SuggestionShown(Output):
    """``answer`` is null while triage is not sure; then the choices are hints. ``lessons``: closed tickets."""

    target: Target
    answer: str | None
    choices: list[ChoiceShown]
    lessons: int


class Triage(Output):
    ticket_id: int
    suggestions: list[SuggestionShown]


@routes.get("/tickets/{ticket_id}/triage", dependencies=[allow("triage.read")])
def suggest(ctx: Ctx, ticket_id: Id) -> Triage:
    """Who could do it, with which skill, how urgent, what may have failed: learnt from closed tickets, with reasons.

    Nothing is set by asking.
    """
    ticket = readable(ctx, ticket_id)
    found = store.suggest(ctx.conn, ticket, now=ctx.now)
    names = store.names(ctx.conn)
    return Triage(ticket_id=ticket_id, suggestions=[_shown(each, names) for each in found])


def _shown(found: Suggestion, names: dict[str, str]) -> SuggestionShown:
    named = names if found.target is Target.ENGINEER else {}
    choices = [{**asdict(each), "name": named.get(each.label)} for each in found.choices]
    return SuggestionShown.model_validate({**asdict(found), "choices": choices})
