"""The composition root: the only place where rooms are wired to each other.

    detectors.runner ──finding──> maintenance.service ──> tickets.service
    detectors.replay ──judged again──> maintenance.late ───┘
    tickets.hooks    <──close guard, closed── maintenance.guard, maintenance.feedback
    tickets.hooks    <──done, reopened── maintenance.plans
    tickets.hooks    <──closed── maintenance.life.outcomes
    tickets.hooks    <──every write── tickets.rules.engine, tickets.knowledge.push, tickets.dispatch.replanning

A process that judges, serves or works on jobs calls ``wire()`` once; ingest and the supervisor need none of it.
"""

from __future__ import annotations

import api.backtesting
import api.jobs
import maintenance.jobs
import maintenance.life.jobs
import maintenance.plans_jobs
import tickets.attachment_jobs
import tickets.audit_jobs
import tickets.dispatch.planning
import tickets.dispatch.replanning
import tickets.jobs
import tickets.reports_schedule
import tickets.rules.jobs
import tickets.search
from detectors.base import OnFinding, OnFindings, OnRejudged
from maintenance import evidence, feedback, guard, late, plans, service
from maintenance.life import outcomes
from tickets import checklists, conversion, handing, stores
from tickets.dispatch import replanning
from tickets.hooks import hooks
from tickets.knowledge import push
from tickets.rules import engine

JOB_MODULES = (
    api.backtesting,
    api.jobs,
    maintenance.jobs,
    maintenance.life.jobs,
    maintenance.plans_jobs,
    tickets.attachment_jobs,
    tickets.audit_jobs,
    tickets.dispatch.planning,
    tickets.dispatch.replanning,
    tickets.jobs,
    tickets.rules.jobs,
    tickets.reports_schedule,
    tickets.search,
)  # importing them registers their handlers


def wire() -> None:
    """Register what lower rooms need from higher ones; calling it again changes nothing."""
    hooks.register_close_guard(guard.GUARD)
    hooks.register_on_closed(feedback.on_closed)
    hooks.register_on_closed(outcomes.on_closed)
    hooks.register_on_transition(conversion.follow)
    hooks.register_on_transition(plans.follow)
    hooks.register_on_event(engine.on_event)
    hooks.register_on_transition(handing.on_transition)
    hooks.register_on_event(stores.on_event)
    hooks.register_on_closed(stores.on_closed)
    hooks.register_on_event(checklists.on_event)
    hooks.register_on_event(push.on_event)
    hooks.register_on_event(evidence.on_event)
    hooks.register_on_event(replanning.on_event)
    hooks.register_on_opening(push.on_opening)


def on_finding() -> OnFinding:
    """What the detectors call with each finding, in the transaction that advances the asset's watermark."""
    return service.on_finding


def on_findings() -> OnFindings:
    """The same for all findings of a machine and transaction together."""
    return service.on_findings


def on_rejudged() -> OnRejudged:
    """What the detectors call once a time that got late data has been judged again."""
    return late.on_rejudged
