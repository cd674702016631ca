"""The life cycle of a ticket as data, and its enforcement: the same for every caller. Pure.

definition (TOML or a row of ``lifecycles``) ──parse──> Lifecycle
allowed(lifecycle, ticket, actor)            ──> what this actor may do now
check(lifecycle, ticket, actor, to, fields)  ──> the Transition, or an error that says why not
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from tickets import lifecycle_shape
from tickets.errors import BadDefinition, IllegalTransition, InvalidFields, MissingFields, NotAllowed, NotYours
from tickets.model import ASSIGNED, CLOSED, DONE, REOPENED, TERMINAL, VERIFYING, Actor, Text, Ticket, Verdict

LANGUAGES = lifecycle_shape.LANGUAGES
CLOCKS = frozenset({"response", "resolution"})
PARTS = frozenset(
    {"requester", "engineer", "planner", "manager", "admin", "agent", "rule", "detector", "system"}
)  # see Actor.part
LONGEST = {"failure_code": 64, "reason": 500, "note": 4000}
FIELDS = frozenset({"verdict", "evidence", *LONGEST})
COLUMNS = frozenset({"asset_id", "mode", "skill", "assignee_id", "downtime_s"})  # `ticket.skill`: filled on the row
CUSTOM = re.compile(r"fields\.[\w.:-]{1,64}\Z")  # `fields.serial`: the custom field, filled on the ticket
NOTHING: tuple[Any, ...] = (None, "", [], {})  # what counts as not given; 0 and false are answers
SHOWN = 8  # problems in the message; all of them travel with the error


@dataclass(frozen=True, slots=True)
class State:
    """A state and what entering it does to the SLA clocks."""

    name: str
    label: Text
    stops: frozenset[str] = frozenset()
    resumes: frozenset[str] = frozenset()
    pauses_for: frozenset[str] = frozenset()  # reasons of a hold that pause the clocks


@dataclass(frozen=True, slots=True)
class Requirement:
    """A field that must be given; ``when``: only if these other fields have one of these values."""

    field: str
    when: Mapping[str, tuple[str, ...]]

    def applies(self, fields: Mapping[str, Any]) -> bool:
        return all(fields.get(name) in values for name, values in self.when.items())


@dataclass(frozen=True, slots=True)
class Transition:
    """Who may go from where to where, under which guards, giving which fields."""

    sources: frozenset[str]
    to: str
    label: Text
    roles: frozenset[str]
    guards: tuple[str, ...] = ()
    requires: tuple[Requirement, ...] = ()


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """States and transitions of one kind of ticket. ``lifecycle_id`` None = built in."""

    name: str
    initial: str
    states: Mapping[str, State]
    transitions: tuple[Transition, ...]
    lifecycle_id: int | None = None


@dataclass(frozen=True, slots=True)
class Allowed:
    """A step that an actor may take now. ``requires`` always; ``requires_when`` depends on other fields."""

    to: str
    requires: tuple[str, ...]
    label: Text
    requires_when: tuple[Requirement, ...] = ()


# -- enforcement ------------------------------------------------------------------------------------------------------


def allowed(lifecycle: Lifecycle, ticket: Ticket, actor: Actor) -> list[Allowed]:
    """The steps ``actor`` may take now, in the definition's order, each target once."""
    found: dict[str, Allowed] = {}
    for step in _from(lifecycle, ticket.status):
        if step.to != ticket.status and actor.part in step.roles and _refusal(step, ticket, actor) is None:
            always = tuple(r.field for r in step.requires if not r.when)
            later = tuple(r for r in step.requires if r.when)
            found.setdefault(step.to, Allowed(step.to, always, step.label, later))
    return list(found.values())


def check(lifecycle: Lifecycle, ticket: Ticket, actor: Actor, *, to: str, fields: Mapping[str, Any]) -> Transition:
    """The transition that this step is. Raises IllegalTransition, NotAllowed, NotYours, MissingFields, InvalidFields;
    each carries the ``allowed`` list."""
    if to == ticket.status:
        options = [option.to for option in allowed(lifecycle, ticket, actor)]
        raise IllegalTransition(f"{ticket.ref} is {to!r} already. {_may(options)}", allowed=options)
    step = permit(lifecycle, ticket, actor, to=to)
    _check_fields(step, ticket, fields)
    return step


def permit(lifecycle: Lifecycle, ticket: Ticket, actor: Actor, *, to: str) -> Transition:
    """Like :func:`check`, before any field is known; staying where it is (another assignee) is fine."""
    ways = [step for step in _from(lifecycle, ticket.status) if step.to == to]
    options = [option.to for option in allowed(lifecycle, ticket, actor)]
    if not ways:
        raise IllegalTransition(
            f"{ticket.ref} is {ticket.status!r} and cannot become {to!r}. {_may(options)}", allowed=options
        )
    mine = [step for step in ways if actor.part in step.roles]
    if not mine:
        who = ", ".join(sorted(set[str]().union(*(step.roles for step in ways))))
        raise NotAllowed(f"Only {who} may move {ticket.ref} to {to!r}. {_may(options)}", allowed=options)
    refusals = [_refusal(step, ticket, actor) for step in mine]
    if None not in refusals:
        refusal = next(r for r in refusals if r is not None)
        raise refusal.error(f"{refusal.text['en']} {_may(options)}", allowed=options, sentence=dict(refusal.text))
    return mine[refusals.index(None)]


def _from(lifecycle: Lifecycle, status: str) -> Iterator[Transition]:
    return (step for step in lifecycle.transitions if status in step.sources)


def _may(options: list[str]) -> str:
    return f"Possible now: {', '.join(options)}." if options else "Nothing is possible for you now."


def _check_fields(step: Transition, ticket: Ticket, fields: Mapping[str, Any]) -> None:
    wrong = [problem for name, value in fields.items() if (problem := _field_problem(name, value))]
    if wrong:
        raise InvalidFields(" ".join(problem["detail"] for problem in wrong), errors=wrong)
    known = {**_on_ticket(ticket), **fields}
    missing = [r.field for r in step.requires if r.applies(known) and known.get(r.field) in NOTHING]
    if missing:
        raise MissingFields(
            f"To become {step.to!r} this ticket needs: {', '.join(missing)}.",
            errors=[{"field": name, "code": "required", "detail": f"{name} is required."} for name in missing],
        )


def _on_ticket(ticket: Ticket) -> dict[str, Any]:
    """What a life cycle may ask of the ticket itself, by the names it uses."""
    custom = {f"fields.{name}": value for name, value in ticket.fields.items()}
    return custom | {f"ticket.{name}": getattr(ticket, name) for name in COLUMNS}


def _is_field(name: str) -> bool:
    return name in FIELDS or CUSTOM.match(name) is not None or name in {f"ticket.{column}" for column in COLUMNS}


def _field_problem(name: str, value: Any) -> dict[str, str] | None:
    def problem(code: str, detail: str) -> dict[str, str]:
        return {"field": name, "code": code, "detail": detail}

    if name not in FIELDS:
        return problem("unknown_field", f"There is no field {name!r} here; known are {', '.join(sorted(FIELDS))}.")
    if value is None:
        return None
    if name == "evidence":
        return None if isinstance(value, Mapping) else problem("type", "evidence must be an object.")
    if not isinstance(value, str):
        return problem("type", f"{name} must be text.")
    if name == "verdict":
        known = ", ".join(Verdict)
        return None if value in set(Verdict) else problem("choice", f"verdict must be one of {known}.")
    if value and not value.strip():
        return problem("blank", f"{name} must not be blank.")
    return problem("too_long", f"{name} is longer than {LONGEST[name]}.") if len(value) > LONGEST[name] else None


# -- guards -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a guard says no."""

    error: type[IllegalTransition | NotYours]
    text: Text


def _has_assignee(ticket: Ticket, actor: Actor, to: str) -> Refusal | None:  # noqa: ARG001 - a guard's signature
    if ticket.assignee_id is not None:
        return None
    return Refusal(IllegalTransition, {"en": "Assign somebody first.", "zh": "请先指派人员。"})


def _own(ticket: Ticket, actor: Actor, to: str) -> Refusal | None:  # noqa: ARG001 - a guard's signature
    if actor.part != "engineer" or (actor.actor_id is not None and ticket.assignee_user_id == actor.actor_id):
        return None
    return Refusal(
        NotYours,
        {"en": "This ticket is not assigned to you. Ask the planner.", "zh": "此工单未指派给您，请联系计划员。"},
    )


def _held_here(ticket: Ticket, actor: Actor, to: str) -> Refusal | None:  # noqa: ARG001 - a guard's signature
    if ticket.held_from == to:
        return None
    return Refusal(
        IllegalTransition,
        {"en": f"It was put on hold from {ticket.held_from!r} and goes back there.", "zh": "只能恢复到暂停前的状态。"},
    )


Guard = Callable[[Ticket, Actor, str], Refusal | None]
GUARDS: Mapping[str, Guard] = {"has_assignee": _has_assignee, "own": _own, "held_here": _held_here}


def _refusal(step: Transition, ticket: Ticket, actor: Actor) -> Refusal | None:
    return next((no for name in step.guards if (no := GUARDS[name](ticket, actor, step.to))), None)


# -- definitions ------------------------------------------------------------------------------------------------------


def parse(name: str, definition: Mapping[str, Any], *, lifecycle_id: int | None = None) -> Lifecycle:
    """A validated life cycle from plain data. Raises BadDefinition with every problem found."""
    misshapen = list(lifecycle_shape.problems(definition))
    if misshapen:
        raise BadDefinition(
            f"Life cycle {name!r} is not of the right shape: {' '.join(misshapen[:SHOWN])}", problems=misshapen
        )
    lifecycle = build(name, definition, lifecycle_id=lifecycle_id)
    problems = list(validate(lifecycle))
    if problems:
        raise BadDefinition(f"Life cycle {name!r}: {' '.join(problems[:SHOWN])}", problems=problems)
    return lifecycle


def build(name: str, definition: Mapping[str, Any], *, lifecycle_id: int | None = None) -> Lifecycle:
    """The life cycle of a definition that was checked when it was published; later checks refuse no ticket."""
    return Lifecycle(
        name=name,
        initial=definition["initial"],
        states={key: _state(key, value) for key, value in definition["states"].items()},
        transitions=tuple(_transition(item) for item in definition["transitions"]),
        lifecycle_id=lifecycle_id,
    )


def extend(base: Mapping[str, Any], variant: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the variant's states added and its transitions in place of those of the same from → to."""
    replaced = {(source, item["to"]) for item in variant["transitions"] for source in item["from"]}
    kept = []
    for item in base["transitions"]:
        sources = [source for source in item["from"] if (source, item["to"]) not in replaced]
        if sources:
            kept.append({**item, "from": sources})
    return {
        "initial": variant.get("initial", base["initial"]),
        "states": {**base["states"], **variant.get("states", {})},
        "transitions": kept + list(variant["transitions"]),
    }


def _state(name: str, data: Mapping[str, Any]) -> State:
    return State(
        name,
        dict(data["label"]),
        frozenset(data.get("stops", ())),
        frozenset(data.get("resumes", ())),
        frozenset(data.get("pauses_for", ())),
    )


def _transition(data: Mapping[str, Any]) -> Transition:
    requires = tuple(
        Requirement(item, {})
        if isinstance(item, str)
        else Requirement(item["field"], {name: tuple(values) for name, values in item["when"].items()})
        for item in data.get("requires", ())
    )
    return Transition(
        frozenset(data["from"]),
        data["to"],
        dict(data["label"]),
        frozenset(data["roles"]),
        tuple(data.get("guards", ())),
        requires,
    )


def validate(lifecycle: Lifecycle) -> Iterator[str]:
    """Every problem of a definition, as sentences."""
    states = lifecycle.states
    if lifecycle.initial not in states:
        yield f"The initial state {lifecycle.initial!r} is not among the states."
    yield from (f"State {name!r} is missing." for name in sorted(TERMINAL - set(states)))
    for state in states.values():
        yield from _state_problems(state)
    for step in lifecycle.transitions:
        yield from _step_problems(step, states)
    yield from _ambiguities(lifecycle)
    yield from _dead_ends(lifecycle)
    yield from _system_problems(lifecycle)
    if lifecycle.initial in TERMINAL:
        yield "A ticket cannot begin in a state that ends it."


def _state_problems(state: State) -> Iterator[str]:
    if not set(LANGUAGES) <= set(state.label):
        yield f"State {state.name!r} needs a label in en and zh."
    for clock in sorted((state.stops | state.resumes) - CLOCKS):
        yield f"State {state.name!r} names an unknown clock {clock!r}."


def _step_problems(step: Transition, states: Mapping[str, State]) -> Iterator[str]:
    name = f"{'/'.join(sorted(step.sources))} → {step.to}"
    yield from (f"{name}: there is no state {s!r}." for s in sorted((step.sources | {step.to}) - set(states)))
    yield from (f"{name}: nothing leaves {s!r}." for s in sorted(step.sources & TERMINAL))
    yield from (f"{name}: there is no role {role!r}." for role in sorted(step.roles - PARTS))
    yield from (f"{name}: there is no guard {guard!r}." for guard in step.guards if guard not in GUARDS)
    named = {r.field for r in step.requires} | {other for r in step.requires for other in r.when}
    yield from (f"{name}: there is no field {field!r}." for field in sorted(named) if not _is_field(field))
    yield from (f"{name}: there is no verdict {value!r}." for value in _verdicts(step) if value not in set(Verdict))
    if not step.roles:
        yield f"{name}: nobody may do it."
    if not set(LANGUAGES) <= set(step.label):
        yield f"{name}: needs a label in en and zh."


def _verdicts(step: Transition) -> list[str]:
    return sorted({value for each in step.requires for value in each.when.get("verdict", ())})


def _ambiguities(lifecycle: Lifecycle) -> Iterator[str]:
    for one, other in combinations(lifecycle.transitions, 2):
        if one.to == other.to and one.sources & other.sources and one.roles & other.roles:
            yield f"Two transitions to {one.to!r} from the same state are open to the same role."


def _dead_ends(lifecycle: Lifecycle) -> Iterator[str]:
    reached = _reach(lifecycle, {lifecycle.initial}, lambda step: (step.sources, {step.to}))
    yield from (f"State {name!r} cannot be reached." for name in sorted(set(lifecycle.states) - reached))
    ending = _reach(lifecycle, set(TERMINAL), lambda step: ({step.to}, step.sources))
    yield from (f"State {name!r} never ends." for name in sorted(set(lifecycle.states) - ending))


def _reach(lifecycle: Lifecycle, start: set[str], arrow: Callable[[Transition], tuple[Any, Any]]) -> set[str]:
    reached, grown = set(start), True
    while grown:
        grown = False
        for step in lifecycle.transitions:
            tails, heads = arrow(step)
            if reached & set(tails) and not set(heads) <= reached:
                reached |= set(heads)
                grown = True
    return reached


def _system_problems(lifecycle: Lifecycle) -> Iterator[str]:
    """Routing assigns as system and a close guard moves as system: the definition must let them through."""
    steps = [(lifecycle.initial, ASSIGNED)]
    if VERIFYING in lifecycle.states:
        steps += [(DONE, VERIFYING), (VERIFYING, CLOSED), (VERIFYING, REOPENED)]
    for source, to in steps:
        if not any(source in s.sources and s.to == to and "system" in s.roles for s in lifecycle.transitions):
            yield f"The system must be able to go from {source!r} to {to!r}."
