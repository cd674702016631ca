"""The site's custom fields as fields of a list: a row of definitions becomes a column, a filter and a dimension."""

from __future__ import annotations

from collections.abc import Mapping

from psycopg import Connection, sql

from tickets import fields
from tickets.field_types import Definition, FieldType
from tickets.model import Audience
from tickets.views_fields import BUILT_IN, Field, Form

FORMS: Mapping[FieldType, Form] = {
    FieldType.TEXT: Form.TEXT,
    FieldType.LONG_TEXT: Form.TEXT,
    FieldType.URL: Form.TEXT,
    FieldType.NUMBER: Form.NUMBER,
    FieldType.INTEGER: Form.NUMBER,
    FieldType.ASSET: Form.NUMBER,
    FieldType.PERSON: Form.NUMBER,
    FieldType.BOOLEAN: Form.FLAG,
    FieldType.DATE: Form.TIME,
    FieldType.DATETIME: Form.TIME,
    FieldType.CHOICE: Form.CHOICE,
    FieldType.MULTI_CHOICE: Form.SET,
}
PREFIX = "fields."
PUBLIC = frozenset(
    {
        "ref",
        "title",
        "description",
        "kind",
        "status",
        "priority",
        "opened_at",
        "responded_at",
        "done_at",
        "closed_at",
        "respond_by",
        "resolve_by",
        "open",
        "overdue",
        "watched",
        "asset",
        "asset_name",
        "location",
        "class",
    }
)  # fmt: skip - what a requester sees of a ticket


def known(conn: Connection, *, audience: Audience = Audience.INTERNAL) -> dict[str, Field]:
    """Every field by its name; for a requester only those that requesters may read."""
    theirs = audience is Audience.REQUESTER
    built_in = {name: field for name, field in BUILT_IN.items() if not theirs or name in PUBLIC}
    custom = [each for each in fields.definitions(conn) if not theirs or each.audience is Audience.REQUESTER]
    return built_in | {PREFIX + each.key: _field(each) for each in custom}


def _field(definition: Definition) -> Field:
    form = FORMS[definition.type]
    return Field(
        PREFIX + definition.key,
        form,
        _expression(definition.key, form),
        definition.label,
        (),
        definition.unit,
        kept=definition.key,
    )


def _expression(key: str, form: Form) -> sql.Composable:
    """Typed; a value that does not fit (it is older than the definition) counts as none."""
    shapes: Mapping[Form, str] = {
        Form.NUMBER: "(case when jsonb_typeof(t.fields->{0}) = 'number' then (t.fields->>{0})::float8 end)",
        Form.FLAG: "coalesce(t.fields->{0} = 'true', false)",
        Form.TIME: """(case when t.fields->>{0} ~ '^[12][0-9]{{3}}-[01][0-9]-[0-3][0-9]'
          then (t.fields->>{0})::timestamptz end)""",
        Form.SET: """array(select jsonb_array_elements_text(
          case jsonb_typeof(t.fields->{0}) when 'array' then t.fields->{0} else '[]' end))""",
    }
    return sql.SQL(shapes.get(form, "(t.fields->>{0})")).format(sql.Literal(key))
