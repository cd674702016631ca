"""Automation: rules and guards, their check, dry run, log and text; webhooks. This only shapes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query, Response
from pydantic import Field

from api.deps import Ctx, Version, router
from api.policies import allow
from api.shapes import Cursor, Id, Input, Limit, Moment, Output, Page, Whole, Words, page, position
from tickets.rules import exchange, expressions, forms, model, outbox, rehearsal, runs, service, store, timers, world
from tickets.rules.exchange import Prune, What
from tickets.rules.model import Form, Status
from tickets.rules.runs import Outcome
from tickets.rules.store import Kept

routes = router("rules")
READ, DRAFT, EDIT, HOOK = [allow("rule.read")], [allow("rule.draft")], [allow("rule.edit")], [allow("webhook.manage")]
NEWEST = 2**53
TOML: dict[int | str, dict[str, Any]] = {200: {"content": {"application/toml": {"schema": {"type": "string"}}}}}

Code = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", examples=["pump-first"])]
Given = Annotated[
    dict[str, Any],
    Field(
        max_length=20,
        examples=[{"when": {"on": ["opened"]}, "if": "ticket.kind == 'incident'", "then": [{"do": "assign"}]}],
    ),
]
Text = Annotated[str, Field(max_length=100_000, description="TOML, as the export writes it.")]
Days = Annotated[Whole, Field(ge=1, le=rehearsal.MOST_DAYS)]


class NewRule(Input):
    code: Code
    form: Form = Form.RULE
    definition: Given


class RuleChange(Input):
    definition: Given
    note: Annotated[str, Field(max_length=500)] = ""


class RuleCheck(Input):
    """A rule as it is being written; nothing is kept."""

    code: Code = "draft"
    form: Form = Form.RULE
    definition: Given


class Trial(RuleCheck):
    days: Days = 90


class TrialOf(Input):
    days: Days = 90


class RulesText(Input):
    text: Text
    prune: Prune = Prune.KEEP


class NewWebhook(Input):
    code: Code
    url: Annotated[str, Field(min_length=8, max_length=2000, examples=["https://erp.example.com/hooks/millwright"])]


class WebhookChange(Input):
    url: Annotated[str, Field(min_length=8, max_length=2000)] | None = None
    status: Literal["on", "off"] | None = None


class RuleItem(Output):
    """`status` draft, enabled, disabled, stopped (by the loop guard; `stopped_why`), retired. `name` by language."""

    rule_id: int
    code: str
    form: Form
    version: int
    status: Status
    name: Words
    definition: dict[str, Any]
    stopped_why: str
    rehearsed: dict[str, Any] | None = Field(description="Figures of the newest dry run, with the version that it ran.")
    changed_at: Moment
    changed_by: str
    warnings: list[str]


class Checked(Output):
    """Whether the definition can be used; `problem` says why not."""

    good: bool
    problem: str | None = None


class ExampleShown(Output):
    ticket_id: int
    ref: str
    title: str
    seq: int
    at: Moment
    event: str
    sentence: str


class TrialShown(Output):
    """What would have happened. `refused`: steps that a guard would have held; `complete` false: it took too long."""

    days: int
    events: int
    asked: int
    matched: int
    errors: int
    refused: int
    tickets: int
    per_day: dict[str, int]
    took_s: float
    complete: bool
    examples: list[ExampleShown]
    failures: list[ExampleShown]


class RunShown(Output):
    run_id: int
    rule_id: int
    code: str
    version: int
    ticket_id: int | None
    ref: str | None
    seq: int
    event: str
    at: Moment
    outcome: Outcome
    sentence: str
    actions: list[dict[str, Any]]
    root: str
    depth: int
    took_us: int


class MadeShown(Output):
    change_id: int
    at: Moment
    by: str
    what: str
    version: int
    definition: dict[str, Any] | None
    note: str


class DifferenceShown(Output):
    code: str
    form: Form
    what: What
    lines: list[str]
    warnings: list[str]


class ActionHelp(Output):
    do: str
    help: str
    arguments: dict[str, str]


class RuleWords(Output):
    """What may stand in a rule: for the editor."""

    parts: dict[str, list[str]]
    functions: dict[str, str]
    events: list[str]
    actions: list[ActionHelp]
    longest: int


class TimerShown(Output):
    timer_id: int
    code: str
    due_at: Moment


class WebhookShown(Output):
    endpoint_id: int
    code: str
    url: str
    status: str
    made_at: Moment


class WebhookMade(WebhookShown):
    """`secret` is shown this once."""

    secret: str


class Secret(Output):
    secret: str


class DeliveryShown(Output):
    delivery_id: int
    message_id: str
    ref: str | None
    made_at: Moment
    state: str
    attempts: int
    next_at: Moment | None
    status_code: int | None
    answer: str
    settled_at: Moment | None
    replays: int


@routes.get("/rules", dependencies=READ)
def list_rules(
    ctx: Ctx, retired: Annotated[bool, Query(description="true: retired ones too")] = False
) -> list[RuleItem]:
    """Rules and guards of the site, by code."""
    return [_shown(kept) for kept in store.every(ctx.conn, retired=retired)]


@routes.post("/rules", status_code=201, dependencies=DRAFT)
def make_rule(ctx: Ctx, response: Response, body: NewRule) -> RuleItem:
    """Make a draft: out of force until it is enabled."""
    kept = service.make(ctx.conn, ctx.actor, code=body.code, form=body.form, definition=body.definition, now=ctx.now)
    response.headers["location"] = f"/api/v1/rules/{kept.rule_id}"
    return _answer(response, kept)


@routes.get("/rules/words", dependencies=READ)
def get_words(ctx: Ctx) -> RuleWords:  # noqa: ARG001 - the right is asked
    """What may stand in a rule: parts of the world, functions, events, actions."""
    return RuleWords(
        parts={name: list(members or ()) for name, members in world.WORDS.items()},
        functions=dict(expressions.FUNCTIONS),
        events=list(model.EVENT_KINDS),
        actions=[
            ActionHelp(
                do=do, help=said,
                arguments={name: _argument(param) for name, param in params.items()},
            )
            for do, (said, params) in forms.ACTIONS.items()
        ],
        longest=expressions.LONGEST,
    )  # fmt: skip


@routes.post("/rules/check", dependencies=READ)
def check_rule(ctx: Ctx, body: RuleCheck) -> Checked:  # noqa: ARG001 - the right is asked
    """Say whether a definition can be used, while it is being written."""
    problem = service.problem(body.code, body.form, body.definition)
    return Checked(good=problem is None, problem=problem)


@routes.post("/rules/rehearse", dependencies=DRAFT)
def rehearse_draft(ctx: Ctx, body: Trial) -> TrialShown:
    """Dry run of a definition that is not kept yet, over the recorded history."""
    definition = forms.parse(body.code, body.form, body.definition)
    return _trial(rehearsal.rehearse(ctx.conn, definition, days=body.days, now=ctx.now))


@routes.get("/rules/runs", dependencies=READ)
def list_runs(
    ctx: Ctx,
    rule_id: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    ticket_id: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[RunShown]:
    """What the rules did, newest first: of one rule, one ticket, or all."""
    before = position(cursor, start=NEWEST)
    found = runs.listed(ctx.conn, rule_id=rule_id, ticket_id=ticket_id, before=before, limit=limit + 1)
    return page([RunShown.model_validate(each) for each in found], limit, "run_id")


@routes.get("/rules/timers", dependencies=READ)
def list_timers(ctx: Ctx, ticket_id: Annotated[int, Query(ge=1, le=2**31 - 1)]) -> list[TimerShown]:
    """What rules will do to a ticket later, if it still holds then."""
    return [TimerShown(**each) for each in timers.waiting(ctx.conn, ticket_id)]


@routes.get("/rules/text", dependencies=READ, response_class=Response, responses=TOML)
def export_rules(ctx: Ctx) -> Response:
    """All rules as TOML, for a git repository."""
    return Response(exchange.export(ctx.conn), media_type="application/toml")


@routes.post("/rules/diff", dependencies=READ)
def compare_rules(ctx: Ctx, body: RulesText) -> list[DifferenceShown]:
    """What applying a text would change."""
    return [DifferenceShown.model_validate(each) for each in exchange.diff(ctx.conn, body.text)]


@routes.post("/rules/apply", dependencies=EDIT)
def apply_rules(ctx: Ctx, body: RulesText) -> list[DifferenceShown]:
    """Make the site's rules what a text says, all or none; the same text again changes nothing."""
    changed = exchange.apply(ctx.conn, ctx.actor, body.text, prune=body.prune, now=ctx.now)
    return [DifferenceShown.model_validate(each) for each in changed]


@routes.get("/rules/{rule_id}", dependencies=READ)
def get_rule(ctx: Ctx, response: Response, rule_id: Id) -> RuleItem:
    """One rule."""
    return _answer(response, store.get(ctx.conn, rule_id))


@routes.put("/rules/{rule_id}", dependencies=DRAFT)
def edit_rule(ctx: Ctx, response: Response, rule_id: Id, version: Version, body: RuleChange) -> RuleItem:
    """Another definition, as a new version; a planner edits drafts, a manager what is in force and guards."""
    kept = service.edit(
        ctx.conn, ctx.actor, rule_id, definition=body.definition, version=version, now=ctx.now, note=body.note
    )
    return _answer(response, kept)


@routes.post("/rules/{rule_id}/enable", dependencies=EDIT)
def enable_rule(ctx: Ctx, response: Response, rule_id: Id, version: Version) -> RuleItem:
    """Put a rule in force; `warnings` says when this version was never tried."""
    return _answer(response, service.enable(ctx.conn, ctx.actor, rule_id, version=version, now=ctx.now))


@routes.post("/rules/{rule_id}/disable", dependencies=EDIT)
def disable_rule(ctx: Ctx, response: Response, rule_id: Id, version: Version) -> RuleItem:
    """Take a rule out of force."""
    return _answer(response, service.disable(ctx.conn, ctx.actor, rule_id, version=version, now=ctx.now))


@routes.post("/rules/{rule_id}/retire", dependencies=EDIT)
def retire_rule(ctx: Ctx, response: Response, rule_id: Id, version: Version) -> RuleItem:
    """Put a rule away; its log stays."""
    return _answer(response, service.retire(ctx.conn, ctx.actor, rule_id, version=version, now=ctx.now))


@routes.post("/rules/{rule_id}/rehearse", dependencies=DRAFT)
def rehearse_rule(ctx: Ctx, rule_id: Id, body: TrialOf) -> TrialShown:
    """Dry run of a kept rule over the recorded history; its figures are kept with it."""
    return _trial(service.rehearse(ctx.conn, ctx.actor, rule_id, days=body.days, now=ctx.now))


@routes.get("/rules/{rule_id}/changes", dependencies=READ)
def list_changes(ctx: Ctx, rule_id: Id) -> list[MadeShown]:
    """Who changed what, newest first, with the definition of every version."""
    store.get(ctx.conn, rule_id)
    return [MadeShown.model_validate(each) for each in store.changes(ctx.conn, rule_id)]


@routes.get("/webhooks", dependencies=READ)
def list_webhooks(ctx: Ctx) -> list[WebhookShown]:
    """Where rules may send messages."""
    return [WebhookShown.model_validate(each) for each in outbox.endpoints(ctx.conn)]


@routes.post("/webhooks", status_code=201, dependencies=HOOK)
def add_webhook(ctx: Ctx, response: Response, body: NewWebhook) -> WebhookMade:
    """Name an address; the answer holds its signing secret, this once."""
    ctx.shows_a_secret()
    made, secret = outbox.add(ctx.conn, code=body.code, url=body.url, now=ctx.now)
    response.headers["location"] = "/api/v1/webhooks"
    return WebhookMade(**WebhookShown.model_validate(made).model_dump(), secret=secret)


@routes.post("/webhooks/{endpoint_id}", dependencies=HOOK)
def change_webhook(ctx: Ctx, endpoint_id: Id, body: WebhookChange) -> WebhookShown:
    """Another address, or on and off."""
    return WebhookShown.model_validate(outbox.change(ctx.conn, endpoint_id, url=body.url, status=body.status))


@routes.post("/webhooks/{endpoint_id}/secret", dependencies=HOOK)
def renew_webhook_secret(ctx: Ctx, endpoint_id: Id) -> Secret:
    """A new signing secret, shown this once; for 24 hours messages are signed with the old one as well."""
    ctx.shows_a_secret()
    return Secret(secret=outbox.renew_secret(ctx.conn, endpoint_id))


@routes.get("/webhooks/{endpoint_id}/deliveries", dependencies=READ)
def list_deliveries(ctx: Ctx, endpoint_id: Id, limit: Limit = 50, cursor: Cursor = None) -> Page[DeliveryShown]:
    """What was sent and what came back, newest first."""
    before = position(cursor, start=NEWEST)
    found = outbox.deliveries(ctx.conn, endpoint_id, before=before, limit=limit + 1)
    return page([DeliveryShown.model_validate(each) for each in found], limit, "delivery_id")


@routes.post("/webhooks/{endpoint_id}/deliveries/{delivery_id}/replay", dependencies=HOOK)
def replay_delivery(ctx: Ctx, endpoint_id: Id, delivery_id: Id) -> DeliveryShown:
    """Send a message once more that was settled: delivered, failed or refused. Its `webhook-id` stays the same."""
    return DeliveryShown.model_validate(outbox.replay(ctx.conn, endpoint_id, delivery_id, now=ctx.now))


def _argument(param: forms.Param) -> str:
    return f"{param.kind}{'' if param.needed else '?'} {param.help}".strip()


def _answer(response: Response, kept: Kept) -> RuleItem:
    response.headers["etag"] = f'"{kept.version}"'
    return _shown(kept)


def _shown(kept: Kept) -> RuleItem:
    name = kept.definition.get("name", kept.code)
    texts = name if isinstance(name, dict) else {"en": name, "zh": name}
    some = str(next(iter(texts.values()), kept.code))
    return RuleItem(
        rule_id=kept.rule_id,
        code=kept.code,
        form=kept.form,
        version=kept.version,
        status=kept.status,
        name=Words(en=str(texts.get("en", some)), zh=str(texts.get("zh", some))),
        definition=dict(kept.definition),
        stopped_why=kept.stopped_why,
        rehearsed=None if kept.rehearsed is None else dict(kept.rehearsed),
        changed_at=kept.changed_at,
        changed_by=kept.changed_by,
        warnings=service.warnings(kept),
    )


def _trial(report: rehearsal.Report) -> TrialShown:
    return TrialShown(
        **report.as_json(),
        examples=[ExampleShown.model_validate(each) for each in report.examples],
        failures=[ExampleShown.model_validate(each) for each in report.failures],
    )
