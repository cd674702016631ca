// Small signs for severity: each has a shape and a word, so that nobody needs to see the colour.
import type { ReactNode } from "react";
import type { Health, TicketStatus } from "../api/types";
import { useNow } from "../api/clock";
import { useSpeech } from "../i18n";
import { age, fullMoment } from "../i18n/format";

export type Tone = "calm" | "watch" | "alarm" | "stale";

const SHAPES: Record<Health, ReactNode> = {
  normal: <circle cx="8" cy="8" r="5.5" fill="none" stroke="currentColor" strokeWidth="1.6" />,
  watch: <path d="M8 1.8 15 14H1Z" fill="currentColor" />,
  alarm: <path d="M8 .8 15.2 8 8 15.2.8 8Z" fill="currentColor" />,
  stale: <circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" strokeWidth="2" strokeDasharray="3 2.6" />,
  unknown: <path d="M3 8h10" stroke="currentColor" strokeWidth="2" strokeDasharray="2 2" />,
};

export function HealthLight({ health, bare = false }: { health: Health; bare?: boolean }) {
  const { code } = useSpeech();
  const tone = health === "normal" || health === "unknown" ? "" : health;
  return (
    <span className={`mark ${tone}`}>
      <svg viewBox="0 0 16 16" aria-hidden="true">{SHAPES[health] ?? SHAPES.unknown}</svg>
      <span className={bare ? "hidden" : ""}>{code("health", health)}</span>
    </span>
  );
}

export function ToneMark({ tone, children }: { tone: Tone; children: ReactNode }) {
  const shape: Health = tone === "calm" ? "normal" : tone;
  return (
    <span className={`mark ${tone === "calm" ? "" : tone}`}>
      <svg viewBox="0 0 16 16" aria-hidden="true">{SHAPES[shape]}</svg>
      <span>{children}</span>
    </span>
  );
}

const STATUS_TONE: Partial<Record<TicketStatus, Tone>> = { reopened: "watch" };
const CLOSED: TicketStatus[] = ["closed", "cancelled"];

export function StatusChip({ status }: { status: TicketStatus }) {
  const { code } = useSpeech();
  const tone = STATUS_TONE[status] ?? "";
  return (
    <span className={`chip ${tone}`}>
      <svg viewBox="0 0 16 16" aria-hidden="true">{statusShape(status)}</svg>
      {code("status", status)}
    </span>
  );
}

function statusShape(status: TicketStatus): ReactNode {
  if (status === "closed") return <path d="m2.5 8.5 3.5 3.5 7.5-8" fill="none" stroke="currentColor" strokeWidth="2" />;
  if (status === "cancelled") return <path d="m3 3 10 10M13 3 3 13" stroke="currentColor" strokeWidth="2" />;
  if (status === "on_hold") return <path d="M5 3v10M11 3v10" stroke="currentColor" strokeWidth="2.4" />;
  if (status === "reopened") return SHAPES.watch;
  const filled = { new: 0, assigned: 0.25, accepted: 0.5, arrived: 0.75, done: 1, verifying: 1 }[status as "new"] ?? 0;
  return (
    <>
      <circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" strokeWidth="1.5" />
      <circle
        cx="8" cy="8" r="3" fill="none" stroke="currentColor" strokeWidth="6" pathLength={1}
        strokeDasharray={`${filled} 1`} transform="rotate(-90 8 8)"
      />
    </>
  );
}

export function isOpen(status: TicketStatus): boolean {
  return !CLOSED.includes(status);
}

export function PriorityMark({ priority }: { priority: number }) {
  const { code } = useSpeech();
  if (priority === 1) return <ToneMark tone="alarm">{code("priority", priority)}</ToneMark>;
  if (priority === 2) return <ToneMark tone="watch">{code("priority", priority)}</ToneMark>;
  return <span className="soft">{code("priority", priority)}</span>;
}

export function Criticality({ value }: { value: number | undefined }) {
  const { t } = useSpeech();
  if (value === undefined) return <span className="soft">–</span>;
  return (
    <span className="row nowrap" style={{ gap: 6, flexWrap: "nowrap" }} role="img" aria-label={t("criticality.of", { n: value })}>
      <span className="pips" aria-hidden="true">
        {[1, 2, 3, 4, 5].map((step) => <i key={step} className={step <= value ? "on" : ""} />)}
      </span>
      <span aria-hidden="true">{value}/5</span>
    </span>
  );
}

/**
 * How old a datum is; past `staleS` seconds it says so by shape and word. Measurements are told in plant time, arrivals
 * and the parts of the system in wall time.
 */
export function Age({ at, staleS, time = "plant" }: { at: string | null | undefined; staleS?: number; time?: "plant" | "wall" }) {
  const speech = useSpeech();
  const plant = useNow();
  const now = time === "plant" ? plant : Date.now();
  if (!at) return <span className="soft">{speech.t("age.never")}</span>;
  const ms = Date.parse(at);
  const words = age(ms, now, speech);
  const stale = staleS !== undefined && now - ms > staleS * 1000;
  return (
    <time dateTime={at} title={fullMoment(at, speech)} className="nowrap">
      {stale ? <ToneMark tone="stale">{speech.t("age.stale", { age: words })}</ToneMark> : words}
    </time>
  );
}
