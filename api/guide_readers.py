"""Who may read which text of a guide: editors every one, others up to the published one."""

from __future__ import annotations

from api.deps import Ctx
from tickets.errors import NotAllowed
from tickets.knowledge import store
from tickets.knowledge.store import State

EDITORS = frozenset({"engineer", "planner", "manager", "admin"})
UNPUBLISHED = "This guide is not published; only who edits guides reads drafts."


def newest(ctx: Ctx, article_id: int) -> int | None:
    """The newest revision that who asks may read; None = every one. Raises NotFound, NotAllowed."""
    found = store.get(ctx.conn, article_id)
    if ctx.role in EDITORS:
        return None
    if found.state is not State.PUBLISHED:
        raise NotAllowed(UNPUBLISHED)
    return found.published or 1


def refuse_newer(ctx: Ctx, article_id: int, number: int) -> None:
    """Raises NotFound, NotAllowed."""
    most = newest(ctx, article_id)
    if most is not None and number > most:
        raise NotAllowed("This revision is not published; only who edits guides reads drafts.")
