"""My inbox."""

from __future__ import annotations

from api.deps import Ctx, router
from api.policies import allow
from api.shapes import Cursor, Id, Limit, Moment, Output, Page, Words, page, position
from tickets import notify

routes = router("notifications")
MINE = [allow("notification.read")]
NEWEST = 2**31 - 1


class NoticeShown(Output):
    notification_id: int
    at: Moment
    kind: str
    ticket_id: int | None
    title: Words
    body: Words
    read_at: Moment | None


@routes.get("/notifications", dependencies=MINE)
def list_notifications(ctx: Ctx, unread: bool = False, limit: Limit = 50, cursor: Cursor = None) -> Page[NoticeShown]:
    """My notices on this site, newest first."""
    before = min(position(cursor, start=NEWEST), NEWEST)
    found = notify.inbox(ctx.conn, ctx.person.user_id, unread_only=unread, limit=limit + 1, before=before)
    return page([_shown(each) for each in found], limit, "notification_id")


@routes.post("/notifications/{notification_id}/read", status_code=204, dependencies=MINE)
def mark_read(ctx: Ctx, notification_id: Id) -> None:
    """I have seen it."""
    notify.mark_read(ctx.conn, ctx.person.user_id, notification_id, now=ctx.now)


def _shown(found: notify.Notice) -> NoticeShown:
    return NoticeShown(
        notification_id=found.notification_id,
        at=found.at,
        kind=found.kind,
        ticket_id=found.ticket_id,
        title=Words(**found.title),
        body=Words(**found.body),
        read_at=found.read_at,
    )
