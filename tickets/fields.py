"""Custom fields: a site defines them as rows; what a ticket's ``fields`` hold is checked against them, whoever writes.

    define ─> field_definitions        open, patch, transition ─> opened | edited ─> fields as kept
    definitions(conn): for forms, filters, rules and reports

A machine (system, detector) cannot be asked: it need not give what is required, so a value that is required on opening
is asked for again at *done*, of the person who gets there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.types.json import Jsonb

from tickets import failure_codes, marks, words
from tickets.errors import FieldTaken, MissingFields, TooManyFields
from tickets.field_types import FIELD_KEY, Definition, FieldFilter, FieldType, Option, Required, line, value
from tickets.model import CANCELLED, DONE, Actor, Audience, Text, Ticket, TicketKind
from tickets.rows import one, refuse_stale

MOST = 200
UNASKED = frozenset({"system", "detector"})
UNASKED_STATES = frozenset({CANCELLED, "on_hold"})
MACHINES = UNASKED | {"rule"}
OF_MACHINES = frozenset({"title_zh", "description_zh", "alarm_id"})  # what the product itself keeps there
LANGUAGES = ("en", "zh")
SELECT: LiteralString = """
  select field_id, key, label, type, unit, low, high, choices, kinds, required, required_to, default_value, audience,
         position, retired_at, version, changed_by
  from field_definitions """
CHANGED = frozenset(
    {"label", "unit", "low", "high", "options", "kinds", "required", "required_to", "default", "audience", "position"}
)


# -- what a ticket's fields may be ------------------------------------------------------------------------------------


def checked(
    conn: Connection, kind: TicketKind, given: object, *, actor: Actor, standing: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """``standing`` with what was given, each value typed and validated; null removes one.

    Raises InvalidFields for a field that this kind of ticket does not have, or a value that does not fit.
    """
    wanted = words.fields(given)
    kept = dict(standing or {})
    known = {each.key: each for each in definitions(conn)} if wanted else {}
    for key, raw in wanted.items():
        if raw is None:
            kept.pop(key, None)
        elif key in OF_MACHINES and actor.part in MACHINES:
            kept[key] = raw
        elif kept.get(key) != raw:
            kept[key] = _fitting(conn, _definition(known, key, kind, actor), raw)
    return words.fields(kept)


def opened(conn: Connection, kind: TicketKind, given: object, *, actor: Actor) -> dict[str, Any]:
    """The fields of a new ticket, defaults filled in. Raises InvalidFields, MissingFields."""
    kept = checked(conn, kind, given, actor=actor)
    theirs = _asked(conn, kind)
    kept |= {each.key: each.default for each in theirs if each.default is not None and each.key not in kept}
    if actor.part not in UNASKED:
        asked = [each for each in theirs if each.required is Required.OPEN and _may_see(each, actor)]
        _refuse_missing(_wanting(asked, kept), "A new ticket")
    return kept


def edited(conn: Connection, ticket: Ticket, given: object, *, actor: Actor) -> dict[str, Any]:
    """The ticket's fields with the changes. What opening requires cannot be taken away. Raises like :func:`opened`."""
    kept = checked(conn, ticket.kind, given, actor=actor, standing=ticket.fields)
    gone = set(ticket.fields) - set(kept)
    required = (each for each in _asked(conn, ticket.kind) if each.required is Required.OPEN) if gone else ()
    _refuse_missing([each for each in required if each.key in gone], ticket.ref)
    return kept


def refuse_unfilled(conn: Connection, ticket: Ticket, *, actor: Actor, to: str) -> None:
    """Raise MissingFields when a person brings the ticket to a state that requires what it does not have."""
    if actor.part not in UNASKED and to not in UNASKED_STATES:
        asked = required_for(conn, ticket.kind, to)
        _refuse_missing(_wanting(asked, ticket.fields), f"To become {to!r} {ticket.ref}")


def required_for(conn: Connection, kind: TicketKind, to: str) -> list[Definition]:
    """The fields without which a person cannot bring a ticket of this kind to the state ``to``."""
    return [each for each in _asked(conn, kind) if _needed(each, to)]


def filters(conn: Connection, wanted: Mapping[str, str]) -> tuple[FieldFilter, ...]:
    """What ``field.KEY=value`` asks for; a number takes a range too: ``2..7``, ``3..``. Raises InvalidFields."""
    known = {each.key: each for each in every(conn)} if wanted else {}
    return tuple(_filter(known, key, text) for key, text in wanted.items())


def _filter(known: Mapping[str, Definition], key: str, text: str) -> FieldFilter:
    found = known.get(key)
    if found is None or not found.is_filtered:
        names = ", ".join(each.key for each in known.values() if each.is_filtered)
        raise words.refuse(
            f"field.{key}", f"Lists are not filtered by {key!r}; known are {names}.", code="unknown_field"
        )
    if not found.is_ordered:
        return FieldFilter(key, value=text)
    low, dots, high = text.partition("..")
    try:
        ends = [float(end) if end else None for end in (low, high if dots else low)]
    except ValueError as error:
        raise words.refuse(f"field.{key}", f"{key} is a number, or a range like 2..7.", code="type") from error
    return FieldFilter(key, low=ends[0], high=ends[1])


def unfilled(conn: Connection, ticket: Ticket, *, states: Iterable[str]) -> dict[str, list[str]]:
    """For each state, the keys of the fields that a person still has to give to get there."""
    asked = _asked(conn, ticket.kind)
    return {
        to: [each.key for each in _wanting(asked, ticket.fields) if to not in UNASKED_STATES and _needed(each, to)]
        for to in states
    }


def _asked(conn: Connection, kind: TicketKind) -> list[Definition]:
    """The fields that may be required or have a default: the site's own."""
    return [each for each in _own(conn) if each.retired_at is None and each.of(kind)]


def _needed(definition: Definition, to: str) -> bool:
    if definition.required is Required.OPEN:
        return to == DONE
    return definition.required is Required.TRANSITION and to in definition.required_to


def _wanting(asked: Iterable[Definition], kept: Mapping[str, Any]) -> list[Definition]:
    return [each for each in asked if kept.get(each.key) in (None, "", [])]


def _refuse_missing(missing: list[Definition], what: str) -> None:
    if missing:
        names = ", ".join(f"{each.label['en']} ({each.key})" for each in missing)
        raise MissingFields(
            f"{what} needs: {names}.",
            errors=[
                {"field": f"fields.{e.key}", "code": "required", "detail": f"{e.key} is required."} for e in missing
            ],
        )


def _definition(known: Mapping[str, Definition], key: str, kind: TicketKind, actor: Actor) -> Definition:
    found = known.get(key)
    if found is None or not _may_see(found, actor):
        mine = sorted(each.key for each in known.values() if each.of(kind) and _may_see(each, actor))
        detail = f"There is no field {key!r} here; known are {', '.join(mine) or 'none'}."
        raise words.refuse(key, detail, code="unknown_field")
    if not found.of(kind):
        raise words.refuse(key, f"A ticket of kind {kind.value} has no field {key!r}.", code="unknown_field")
    return found


def _may_see(definition: Definition, actor: Actor) -> bool:
    return actor.part != "requester" or definition.audience is Audience.REQUESTER


def _fitting(conn: Connection, definition: Definition, raw: Any) -> Any:
    kept = value(definition, raw)
    if definition.type is FieldType.ASSET:
        missing = f"{definition.key}: there is no asset {kept} on this site."
        one(conn, "select 1 from assets where asset_id = %s", (kept,), missing=missing)
    if definition.type is FieldType.PERSON:
        missing = f"{definition.key}: there is no person {kept} on this site."
        query = "select 1 from memberships where user_id = %s and site_id = current_site()"
        one(conn, query, (kept,), missing=missing)
    return kept


# -- definitions ------------------------------------------------------------------------------------------------------


def definitions(conn: Connection, *, kind: TicketKind | None = None, actor: Actor | None = None) -> list[Definition]:
    """Every field in use on this site, in the order of the forms; of a kind, and that the actor may see."""
    found = [each for each in every(conn) if each.retired_at is None]
    return [e for e in found if (kind is None or e.of(kind)) and (actor is None or _may_see(e, actor))]


def every(conn: Connection) -> list[Definition]:
    """Retired ones too: old tickets still show them."""
    return [*_own(conn), *failure_codes.definitions(conn)]


def _own(conn: Connection) -> tuple[Definition, ...]:
    return marks.kept(
        conn, "fields", lambda: tuple(_read(row) for row in conn.execute(SELECT + "order by position, field_id"))
    )


def define(
    conn: Connection,
    *,
    key: str,
    label: Text,
    type: FieldType | str,  # noqa: A002
    by: str = "",
    **more: Any,
) -> Definition:
    """Add a field; ``more`` are the other properties of :class:`Definition`. Raises InvalidFields, FieldTaken."""
    taken = {each.key for each in every(conn)} | OF_MACHINES
    if key in taken:
        raise FieldTaken(f"There is a field {key!r} already; a retired one can be taken up again.")
    if len(taken) >= MOST:
        raise TooManyFields
    try:
        blank = Definition(None, _key(key), {}, FieldType(type))
    except ValueError as error:
        raise words.refuse("type", f"type is one of {', '.join(FieldType)}.", code="choice") from error
    made = _shaped(blank, {"label": label, **more})
    row = conn.execute(
        """insert into field_definitions (key, label, type, unit, low, high, choices, kinds, required, required_to,
             default_value, audience, position, changed_by)
           values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
           on conflict (site_id, key) do nothing returning field_id, version""",
        (made.key, Jsonb(dict(made.label)), made.type.value, *_row(made), by),
    ).fetchone()
    if row is None:
        raise FieldTaken(f"Somebody else is adding a field {key!r} at this moment.")
    return replace(made, field_id=row[0], version=row[1], changed_by=by)


def change(conn: Connection, field_id: int, *, version: int | None = None, by: str = "", **changes: Any) -> Definition:
    """Change a field; its key and type stay, and so do the values that tickets have.

    Raises NotFound, InvalidFields, and Stale unless ``version`` fits.
    """
    made = _shaped(_lock(conn, field_id, version), changes)
    conn.execute(
        """update field_definitions set label = %s, unit = %s, low = %s, high = %s, choices = %s, kinds = %s,
             required = %s, required_to = %s, default_value = %s, audience = %s, position = %s, changed_by = %s
           where field_id = %s""",
        (Jsonb(dict(made.label)), *_row(made), by, field_id),
    )
    return get(conn, field_id)


def retire(
    conn: Connection, field_id: int, *, at: datetime | None, version: int | None = None, by: str = ""
) -> Definition:
    """Take a field out of the forms, or (None) take it up again; what tickets hold stays. Raises NotFound, Stale."""
    _lock(conn, field_id, version)
    conn.execute(
        "update field_definitions set retired_at = %s, changed_by = %s where field_id = %s", (at, by, field_id)
    )
    return get(conn, field_id)


def _lock(conn: Connection, field_id: int, version: int | None) -> Definition:
    conn.execute("select 1 from field_definitions where field_id = %s for update", (field_id,))
    found = get(conn, field_id)
    current = asdict(found) | {"retired_at": found.retired_at and found.retired_at.isoformat()}
    refuse_stale(found.key, standing=found.version, given=version, current=current)
    return found


def get(conn: Connection, field_id: int) -> Definition:
    """One definition; raises NotFound."""
    missing = f"There is no field {field_id} on this site."
    return _read(one(conn, SELECT + "where field_id = %s", (field_id,), missing=missing))


def _shaped(base: Definition, changes: Mapping[str, Any]) -> Definition:
    unknown = sorted(set(changes) - CHANGED)
    if unknown:
        raise words.refuse(unknown[0], f"A field has no property {unknown[0]!r}; it has {', '.join(sorted(CHANGED))}.")
    made = replace(base, **{name: SHAPES[name](name, given) for name, given in changes.items()})
    _refuse_contradiction(made)
    if made.default is None:
        return made
    return replace(made, default=value(replace(made, key="default"), made.default))


def _refuse_contradiction(made: Definition) -> None:
    numeric, chosen = made.is_ordered, made.type in (FieldType.CHOICE, FieldType.MULTI_CHOICE)
    if not numeric and (made.unit or made.low is not None or made.high is not None):
        raise words.refuse("unit", f"Unit and limits belong to numbers; {made.key} is a {made.type.value}.")
    if made.low is not None and made.high is not None and made.low > made.high:
        raise words.refuse("low", f"The lower limit {made.low:g} is above the upper limit {made.high:g}.")
    if chosen != bool(made.options):
        raise words.refuse("options", "A choice needs options, and nothing else has any.")
    if (made.required is Required.TRANSITION) != bool(made.required_to):
        raise words.refuse(
            "required_to", "required = transition names the states in required_to, and nothing else does."
        )


def _key(given: object) -> str:
    if not isinstance(given, str) or not FIELD_KEY.match(given):
        raise words.refuse("key", "key begins with a letter: a-z, 0-9 and _, at most 48 characters.")
    return given


def _label(name: str, given: Any) -> Text:
    if not isinstance(given, Mapping) or set(given) != set(LANGUAGES):
        raise words.refuse(name, f"{name} needs a text in en and one in zh.")
    return {lang: line(name, given[lang], longest=120) for lang in LANGUAGES}


def _options(name: str, given: Any) -> tuple[Option, ...]:
    made = [Option(line(name, each["value"], longest=64), _label(name, each["label"])) for each in given]
    if len({each.value for each in made}) != len(made) or len(made) > MOST:
        raise words.refuse(name, f"{name} must differ, and be {MOST} at most.")
    return tuple(made)


def _limit(name: str, given: Any) -> float | None:
    return None if given is None else float(value(Definition(None, name, {}, FieldType.NUMBER), given))


def _kinds(name: str, given: Any) -> tuple[str, ...]:  # noqa: ARG001 - one signature for all shapes
    return tuple(sorted({words.kind(each).value for each in given}))


def _states(name: str, given: Any) -> tuple[str, ...]:
    states = tuple(dict.fromkeys(words.code(name, each) or "" for each in given))
    if UNASKED_STATES & set(states):
        raise words.refuse(name, "To cancel a ticket or to put it on hold never needs a field.")
    return states


def _enum(kind: type[Required | Audience]) -> Any:
    def shaped(name: str, given: Any) -> Required | Audience:
        try:
            return kind(given)
        except ValueError as error:
            raise words.refuse(name, f"{name} is one of {', '.join(kind)}.", code="choice") from error

    return shaped


SHAPES: Mapping[str, Any] = {
    "label": _label,
    "unit": lambda name, given: line(name, given, longest=24) if given else "",
    "low": _limit,
    "high": _limit,
    "options": _options,
    "kinds": _kinds,
    "required": _enum(Required),
    "required_to": _states,
    "default": lambda _, given: given,
    "audience": _enum(Audience),
    "position": lambda _, given: int(given),
}


def _row(made: Definition) -> tuple[Any, ...]:
    options = [{"value": each.value, "label": dict(each.label)} for each in made.options]
    default = None if made.default is None else Jsonb(made.default)
    return (
        made.unit, made.low, made.high, Jsonb(options), list(made.kinds), made.required.value, list(made.required_to),
        default, made.audience.value, made.position,
    )  # fmt: skip


def _read(row: tuple[Any, ...]) -> Definition:
    (ident, key, label, kind, unit, low, high, options, kinds, required, to, default, audience, *rest) = row
    shown = tuple(Option(each["value"], each["label"]) for each in options)
    return Definition(
        ident, key, label, FieldType(kind), unit, low, high, shown, tuple(kinds), Required(required), tuple(to),
        default, Audience(audience), *rest,
    )  # fmt: skip
