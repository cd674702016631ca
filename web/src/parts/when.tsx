// When it fails: P10–P50–P90 of the remaining life on one logarithmic axis, so that rows compare at a glance.
import { useNow } from "../api/clock";
import type { Prediction } from "../api/types";
import { useSpeech, type Speech } from "../i18n";
import { moment, span } from "../i18n/format";
import { ToneMark, type Tone } from "./marks";

const AXIS_H = [1, 8, 24, 72, 168, 720];
const LOW = Math.log(0.5);
const HIGH = Math.log(1440);
const URGENT_H = 24;
const SOON_H = 72;

export type Remaining = { p10: number; p50: number; p90: number };

/** Hours left now: what was forecast less what has passed since. Null while there is no time yet. */
export function remaining(prediction: Prediction, nowMs: number): Remaining | null {
  const { p10_h, p50_h, p90_h } = prediction;
  if (p50_h === null || p50_h === undefined) return null;
  const passed = Math.max(0, (nowMs - Date.parse(prediction.made_at)) / 3600_000);
  const left = (hours: number) => Math.max(0, hours - passed);
  return { p10: left(p10_h ?? p50_h), p50: left(p50_h), p90: left(p90_h ?? p50_h) };
}

const REPAIRED = ["done", "verifying"];

/** Colour only where someone must act: the median within a day, or the early end within three, and nobody has acted. */
export function urgency(left: Remaining | null, ticket?: Prediction["ticket"]): Tone {
  if (ticket && REPAIRED.includes(ticket.status)) return "calm";
  if (left === null) return "watch";
  if (left.p50 <= URGENT_H) return "alarm";
  if (left.p10 <= SOON_H) return "watch";
  return "calm";
}

export function When({ prediction, axis = false }: { prediction: Prediction; axis?: boolean }) {
  const speech = useSpeech();
  const now = useNow();
  const left = remaining(prediction, now);
  if (left === null) {
    return (
      <div title={speech.t("prediction.noTimeHint")}>
        <div className="strong">{speech.t("prediction.noTime")}</div>
        <div className="small soft">{speech.t("prediction.noTimeHint")}</div>
      </div>
    );
  }
  const tone = urgency(left, prediction.ticket);
  return (
    <div>
      <div className="row between nowrap" style={{ flexWrap: "nowrap" }}>
        <Middle left={left} tone={tone} speech={speech} />
        <span className="small soft">{moment(now + left.p50 * 3600_000, now, speech)}</span>
      </div>
      <Bar left={left} tone={tone} speech={speech} />
      {axis && <Axis speech={speech} />}
      <div className="small soft">
        {left.p90 > 0 && speech.t("prediction.range", { low: span(left.p10, speech), high: span(left.p90, speech) })}
      </div>
    </div>
  );
}

function Middle({ left, tone, speech }: { left: Remaining; tone: Tone; speech: Speech }) {
  const words = middle(left, speech);
  return tone === "calm" ? <span className="strong">{words}</span> : <ToneMark tone={tone}>{words}</ToneMark>;
}

function Bar({ left, tone, speech }: { left: Remaining; tone: Tone; speech: Speech }) {
  const label = speech.t("prediction.barLabel", {
    low: span(left.p10, speech),
    mid: span(left.p50, speech),
    high: span(left.p90, speech),
  });
  const start = place(left.p10);
  return (
    <div className={`when ${tone}`} role="img" aria-label={label} title={label}>
      <div className="track" />
      {AXIS_H.map((hours) => <div key={hours} className="grid" style={{ left: `${place(hours)}%` }} />)}
      <div className="range" style={{ left: `${start}%`, width: `${Math.max(0.5, place(left.p90) - start)}%` }} />
      <div className="mid" style={{ left: `${place(left.p50)}%` }} />
    </div>
  );
}

function Axis({ speech }: { speech: Speech }) {
  return (
    <div aria-hidden="true" className="small soft" style={{ position: "relative", height: 16 }}>
      {AXIS_H.map((hours) => (
        <span key={hours} style={{ position: "absolute", left: `${place(hours)}%`, transform: "translateX(-50%)", whiteSpace: "nowrap" }}>
          {span(hours, speech)}
        </span>
      ))}
    </div>
  );
}

export function middle(left: Remaining, speech: Speech): string {
  if (left.p50 <= 0) return speech.t("prediction.passed");
  return speech.t("prediction.median", { span: span(left.p50, speech) });
}

function place(hours: number): number {
  const at = (Math.log(Math.max(hours, 0.5)) - LOW) / (HIGH - LOW);
  return Math.min(100, Math.max(0, at * 100));
}
