// The audit is the timeline: every event of a ticket, oldest first, with who did it and what was said.
import { useTicketEvents } from "../api/queries";
import { useNow } from "../api/clock";
import type { TicketEvent, Words } from "../api/types";
import { useSpeech, type Speech } from "../i18n";
import { fullMoment, moment } from "../i18n/format";
import { StatusChip } from "./marks";
import { Await } from "./states";

export function Timeline({ ticketId }: { ticketId: number }) {
  const { t } = useSpeech();
  const events = useTicketEvents(ticketId);
  return (
    <Await query={events}>
      {(items) =>
        items.length === 0 ? (
          <p className="soft">{t("event.empty")}</p>
        ) : (
          <ol className="timeline" style={{ listStyle: "none" }}>
            {[...items].sort((a, b) => a.seq - b.seq).map((event) => <Entry key={event.seq} event={event} />)}
          </ol>
        )
      }
    </Await>
  );
}

function Entry({ event }: { event: TicketEvent }) {
  const speech = useSpeech();
  const now = useNow();
  const said = saying(event, speech);
  const status = newStatus(event);
  return (
    <li className={event.actor.kind} title={`${speech.t("event.hash")}: ${event.hash ?? ""}`}>
      <div className="row" style={{ gap: 6 }}>
        <strong>{event.actor.name || speech.code("actor", event.actor.kind)}</strong>
        {event.actor.kind !== "person" && <span className="chip">{speech.code("actor", event.actor.kind)}</span>}
        <span>{speech.code("event", event.kind)}</span>
        {status && <StatusChip status={status} />}
        <time className="soft small" dateTime={event.at} title={fullMoment(event.at, speech)}>
          {moment(event.at, now, speech)}
        </time>
        {event.audience === "requester" && <span className="chip accent">{speech.t("order.requesterToo")}</span>}
      </div>
      {said && <div className="said">{said}</div>}
    </li>
  );
}

function newStatus(event: TicketEvent) {
  const after = event.body.after as Record<string, unknown> | undefined;
  const to = event.body.to ?? after?.status ?? event.body.status;
  return typeof to === "string" && /^[a-z_]+$/.test(to) && event.kind !== "comment" ? (to as never) : null;
}

/** The human part of an event's body: its words, its note, its reasons. */
function saying(event: TicketEvent, speech: Speech): string {
  const body = event.body;
  const fields = (body.fields ?? {}) as Record<string, unknown>;
  const parts: string[] = [];
  for (const key of ["text", "sentence", "detail", "summary"]) {
    if (isWords(body[key])) parts.push(speech.say(body[key]));
  }
  const verdict = fields.verdict ?? body.verdict;
  const fault = fields.failure_code ?? body.failure_code;
  if (typeof verdict === "string") parts.push(speech.code("verdict", verdict));
  if (typeof fault === "string") parts.push(speech.code("mode", fault));
  for (const value of [fields.note ?? body.note, fields.reason ?? body.reason]) {
    if (isWords(value)) parts.push(typeof value === "string" ? speech.code("hold", value) : speech.say(value));
  }
  const assignee = body.assignee_name ?? (body.assignee as { name?: string } | undefined)?.name;
  if (typeof assignee === "string") parts.unshift(`→ ${assignee}`);
  if (Array.isArray(body.reasons)) parts.push(...body.reasons.filter(isWords).map((one) => speech.say(one)));
  return parts.filter(Boolean).join(" · ");
}

function isWords(value: unknown): value is Words | string {
  return typeof value === "string" || (typeof value === "object" && value !== null && "en" in value);
}
