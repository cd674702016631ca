// The audit is the timeline: every event of a ticket, oldest first, with who did it and what was said.
import { useNow } from "../api/clock";
import { useEngineers, useTicketEvents } from "../api/queries";
import type { Engineer, TicketEvent, TicketStatus, Words } from "../api/types";
import { useSpeech, type Speech } from "../i18n";
import { fullMoment, modeName, moment } from "../i18n/format";
import { StatusChip } from "./marks";
import { Await } from "./states";

type Body = Record<string, unknown>;

export function Timeline({ ticketId }: { ticketId: number }) {
  const { t } = useSpeech();
  const events = useTicketEvents(ticketId);
  const engineers = useEngineers();
  return (
    <Await query={events}>
      {(items) =>
        items.length === 0 ? (
          <p className="soft">{t("event.empty")}</p>
        ) : (
          <ol className="timeline" style={{ listStyle: "none" }}>
            {runs(items).map((run) => (
              <Run key={run[0]!.seq} run={run} engineers={engineers.data ?? []} />
            ))}
          </ol>
        )
      }
    </Await>
  );
}

const REPEATING = ["deadline"]; // what a forecast says anew every few hours: the last word counts
const FEW = 3;

/** Events in order; what repeats without anything between is one run. */
export function runs(events: TicketEvent[]): TicketEvent[][] {
  const found: TicketEvent[][] = [];
  for (const event of [...events].sort((a, b) => a.seq - b.seq)) {
    const last = found.at(-1);
    const same = last && REPEATING.includes(event.kind) && last[0]!.kind === event.kind && last[0]!.actor.name === event.actor.name;
    if (same) last.push(event);
    else found.push([event]);
  }
  return found;
}

/** A long run shows its last event; the others open on request. */
function Run({ run, engineers }: { run: TicketEvent[]; engineers: Engineer[] }) {
  const { t } = useSpeech();
  const earlier = run.length > FEW ? run.slice(0, -1) : [];
  const shown = earlier.length > 0 ? run.slice(-1) : run;
  return (
    <>
      {earlier.length > 0 && (
        <li>
          <details>
            <summary className="soft">{t("event.earlier", { n: earlier.length })}</summary>
            <ol className="timeline" style={{ listStyle: "none" }}>
              {earlier.map((event) => (
                <Entry key={event.seq} event={event} engineers={engineers} />
              ))}
            </ol>
          </details>
        </li>
      )}
      {shown.map((event) => (
        <Entry key={event.seq} event={event} engineers={engineers} />
      ))}
    </>
  );
}

function Entry({ event, engineers }: { event: TicketEvent; engineers: Engineer[] }) {
  const speech = useSpeech();
  const now = useNow();
  const said = saying(event, engineers, speech);
  const status = newStatus(event);
  return (
    <li className={event.actor.kind} title={`${speech.t("event.hash")}: ${event.hash}`}>
      <div className="row" style={{ gap: 6 }}>
        <strong>{actorName(event, speech)}</strong>
        {event.actor.kind !== "person" && <span className="chip">{speech.code("actor", event.actor.kind)}</span>}
        <span>{speech.code("event", event.kind)}</span>
        {status && <StatusChip status={status} />}
        <time className="soft small" dateTime={event.at} title={fullMoment(event.at, speech)}>
          {moment(event.at, now, speech)}
        </time>
        {event.audience === "requester" && event.kind === "comment" && (
          <span className="chip accent">{speech.t("order.requesterToo")}</span>
        )}
      </div>
      {said.length > 0 && <div className="said">{said.join("\n")}</div>}
    </li>
  );
}

function actorName({ actor }: TicketEvent, speech: Speech): string {
  if (actor.kind === "detector") return speech.code("detectorName", actor.name);
  return actor.name || speech.code("actor", actor.kind);
}

/** The status that an event led to, where it led to another. */
function newStatus(event: TicketEvent): TicketStatus | null {
  const { before, after } = sides(event);
  const to = after.status;
  return typeof to === "string" && to !== before.status && event.kind !== "opened" ? (to as TicketStatus) : null;
}

/** The human part of an event, a line a thing: to whom, what was said, what was found, why. */
export function saying(event: TicketEvent, engineers: Engineer[], speech: Speech): string[] {
  const { before, after } = sides(event);
  const inner = event.kind === "evidence" && isObject(event.body.body) ? event.body.body : event.body;
  return [
    assignee(after, engineers),
    ...["text", "sentence", "detail"].map((name) => words(inner[name], speech)),
    origin(inner.origin),
    relation(event, inner, speech),
    [speech.code("verdict", text(inner.verdict)), inner.failure_code ? modeName(text(inner.failure_code), speech) : ""].filter(Boolean).join(" · "),
    words(inner.note, speech),
    reason(inner.reason, speech),
    ...reasons(inner.reasons ?? (event.kind === "assigned" ? after.assignment_reasons : undefined), speech),
    ...(event.kind === "edited" ? edits(before, after, speech) : []),
    event.kind === "deadline" && typeof after.resolve_by === "string" ? fullMoment(after.resolve_by, speech) : "",
    event.kind.startsWith("sla") ? speech.code("sla", text(inner.clock)) : "",
  ].filter(Boolean);
}

/** Where a comment that was carried over was said first. */
function origin(value: unknown): string {
  return isObject(value) ? `— ${text(value.by)}, ${text(value.ref)}` : "";
}

/** The other ticket that an event speaks of. */
function relation(event: TicketEvent, inner: Body, speech: Speech): string {
  const other = text(inner.ref ?? inner.into ?? inner.part ?? inner.parent);
  if (event.kind === "linked" || event.kind === "unlinked") return `${speech.code("near", text(inner.how))} ${other}`;
  return ["taken_over", "merged", "order_moved", "part_added", "parent"].includes(event.kind) ? other : "";
}

function assignee(after: Body, engineers: Engineer[]): string {
  if (typeof after.assignee_id !== "number") return "";
  const found = engineers.find((one) => one.engineer_id === after.assignee_id);
  return `→ ${found?.name ?? `#${after.assignee_id}`}`;
}

function edits(before: Body, after: Body, speech: Speech): string[] {
  const shown = (name: string, value: unknown) => (name === "priority" ? speech.code("priority", text(value)) : text(value));
  const names: Record<string, string> = {
    priority: speech.t("order.priority"),
    title: speech.t("new.subject"),
    description: speech.t("order.description"),
  };
  return Object.keys(after)
    .filter((name) => name in names)
    .map((name) => `${names[name]}: ${shown(name, before[name])} → ${shown(name, after[name])}`);
}

function reason(value: unknown, speech: Speech): string {
  return typeof value === "string" ? speech.code("hold", value) : words(value, speech);
}

function reasons(value: unknown, speech: Speech): string[] {
  return Array.isArray(value) ? value.map((one) => words(one, speech)) : [];
}

function words(value: unknown, speech: Speech): string {
  if (typeof value === "string") return value;
  return isObject(value) && typeof value.en === "string" ? speech.say(value as Words) : "";
}

function text(value: unknown): string {
  return value === null || value === undefined ? "" : String(value);
}

function sides(event: TicketEvent): { before: Body; after: Body } {
  const { before, after } = event.body;
  return { before: isObject(before) ? before : {}, after: isObject(after) ? after : {} };
}

function isObject(value: unknown): value is Body {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
