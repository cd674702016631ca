// SLA clocks: what is left, what is paused, what is missed; told by word and shape, then by colour.
import { useNow } from "../api/clock";
import type { Sla, TicketItem } from "../api/types";
import { useSpeech, type Speech } from "../i18n";
import { moment, span } from "../i18n/format";
import { ToneMark, type Tone } from "./marks";

const NEAR_FRACTION = 0.2;

export type Reading = { state: Sla["state"]; tone: Tone; words: string; dueMs: number | null };

/** One clock now. A running clock is told by its due time, which the calendar has already moved. */
export function read(sla: Sla, nowMs: number, speech: Speech): Reading {
  const dueMs = sla.due_at ? Date.parse(sla.due_at) : null;
  if (sla.state === "met") return { state: "met", tone: "calm", words: speech.t("sla.met"), dueMs };
  const leftS = sla.state === "running" && dueMs !== null ? (dueMs - nowMs) / 1000 : (sla.remaining_s ?? 0);
  if (sla.state === "paused") {
    return { state: "paused", tone: "calm", words: speech.t("sla.stopped", { span: span(Math.max(0, leftS) / 3600, speech) }), dueMs };
  }
  if (sla.state === "breached" || leftS < 0) {
    const over = dueMs === null ? Math.abs(leftS) : Math.max(0, (nowMs - dueMs) / 1000);
    return { state: "breached", tone: "alarm", words: speech.t("sla.over", { span: span(over / 3600, speech) }), dueMs };
  }
  const near = sla.target_s !== null && leftS < sla.target_s * NEAR_FRACTION;
  return { state: "running", tone: near ? "watch" : "calm", words: speech.t("sla.left", { span: span(leftS / 3600, speech) }), dueMs };
}

/** The clock that matters next: a missed or running one before a paused, never one that is met. */
export function nextClock(ticket: TicketItem): Sla | null {
  const open = ticket.sla.filter((sla) => sla.state !== "met" && sla.state !== "paused");
  const paused = ticket.sla.filter((sla) => sla.state === "paused");
  const byDue = (a: Sla, b: Sla) => Date.parse(a.due_at ?? "9999-01-01") - Date.parse(b.due_at ?? "9999-01-01");
  return [...open].sort(byDue)[0] ?? paused[0] ?? null;
}

export function Due({ ticket }: { ticket: TicketItem }) {
  const speech = useSpeech();
  const now = useNow();
  const sla = nextClock(ticket);
  if (!sla) return <span className="soft">–</span>;
  const reading = read(sla, now, speech);
  return (
    <span title={speech.code("sla", sla.kind)}>
      {reading.tone === "calm" ? <span>{reading.words}</span> : <ToneMark tone={reading.tone}>{reading.words}</ToneMark>}
    </span>
  );
}

export function SlaClocks({ ticket }: { ticket: TicketItem }) {
  const speech = useSpeech();
  const now = useNow();
  if (ticket.sla.length === 0) return <p className="soft">{speech.t("sla.none")}</p>;
  return (
    <ul className="stack">
      {ticket.sla.map((sla) => {
        const reading = read(sla, now, speech);
        return (
          <li key={sla.kind}>
            <div className="row between">
              <span className="strong">{speech.code("sla", sla.kind)}</span>
              <ToneMark tone={reading.tone}>{speech.code("sla", reading.state)}</ToneMark>
            </div>
            {sla.target_s !== null && sla.state !== "met" && <Meter sla={sla} now={now} />}
            <div className="row between small soft">
              <span>{sla.state === "met" ? "" : reading.words}</span>
              {reading.dueMs !== null && <span>{speech.t("sla.by", { time: moment(reading.dueMs, now, speech) })}</span>}
            </div>
            <p className="small soft">{why(sla, speech)}</p>
          </li>
        );
      })}
    </ul>
  );
}

/** Which policy counts, and what of the ticket it asked for. */
function why(sla: Sla, speech: Speech): string {
  const reasons = (sla.why ?? []).map((each) => speech.say(each)).join(", ");
  const policy = sla.policy ? speech.t("sla.why", { policy: sla.policy, why: reasons }) : "";
  const forecast = sla.basis === "forecast" ? speech.t("sla.forecast") : "";
  const missed = (sla.breaches ?? 0) > 1 ? speech.t("sla.breaches", { count: String(sla.breaches) }) : "";
  return [forecast || policy, missed].filter(Boolean).join(" · ");
}

function Meter({ sla, now }: { sla: Sla; now: number }) {
  const due = sla.due_at ? Date.parse(sla.due_at) : now;
  const left = sla.state === "running" ? (due - now) / 1000 : (sla.remaining_s ?? 0);
  const used = Math.min(1, Math.max(0, 1 - left / (sla.target_s || 1)));
  return <div className="meter" style={{ margin: "4px 0" }} aria-hidden="true"><i style={{ width: `${used * 100}%` }} /></div>;
}
