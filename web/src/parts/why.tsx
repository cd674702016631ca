// Why: one sentence, and how much each signal carries of it.
import type { Asset, Contribution, Evidence, Prediction, Signal, Ticket, Words } from "../api/types";
import { useSpeech } from "../i18n";
import { percent, signalName } from "../i18n/format";

export function Contributions({ items, signals }: { items: Contribution[]; signals?: Signal[] }) {
  const speech = useSpeech();
  const { t } = speech;
  const sorted = [...items].sort((a, b) => b.share - a.share).slice(0, 6);
  return (
    <ul className="stack tight" aria-label={t("prediction.contributions")}>
      {sorted.map((one) => {
        const name = signalName(signals?.find((signal) => signal.signal_id === one.signal_id) ?? one, speech);
        return (
          <li key={one.signal_id} className="share">
            <span>{name} <Arrow direction={one.direction} /></span>
            <span className="bar" aria-hidden="true"><i style={{ width: `${Math.min(1, one.share) * 100}%` }} /></span>
            <span className="soft">{percent(one.share)}</span>
          </li>
        );
      })}
    </ul>
  );
}

export function Arrow({ direction }: { direction: number }) {
  const { t } = useSpeech();
  if (!direction) return null;
  return (
    <>
      <span aria-hidden="true">{direction > 0 ? "↑" : "↓"}</span>
      <span className="hidden">{t(direction > 0 ? "prediction.up" : "prediction.down")}</span>
    </>
  );
}

export type Reason = { sentence: Words | string | null; contributions: Contribution[]; detectedAt: string | null };

/** What stands behind an order: its own evidence first, else the machine's prediction or alarm that opened it. */
export function reasonOf(ticket: Ticket, asset: Asset | undefined): Reason {
  const ours = (one: { ticket?: { ticket_id: number } | null }) => one.ticket?.ticket_id === ticket.ticket_id;
  const prediction: Prediction | undefined =
    asset?.predictions.find(ours) ?? asset?.predictions.find((one) => ticket.mode !== null && one.mode.code === ticket.mode.code);
  const alarm =
    asset?.alarms.find(ours) ?? asset?.alarms.find((one) => ticket.mode !== null && one.mode?.code === ticket.mode.code);
  const evidence = ticket.evidence.find((one) => sentenceOf(one) !== null);
  return {
    sentence: (evidence && sentenceOf(evidence)) ?? prediction?.sentence ?? alarm?.sentence ?? null,
    contributions: evidence?.contributions ?? fromBody(evidence) ?? prediction?.contributions ?? alarm?.contributions ?? [],
    detectedAt:
      prediction?.detected_at ?? alarm?.detected_at ?? alarm?.started_at ?? evidence?.at ?? prediction?.made_at ??
      (ticket.kind === "preventive" || ticket.kind === "sensor-fault" ? ticket.opened_at : null),
  };
}

export function sentenceOf(evidence: Evidence): Words | null {
  return evidence.sentence ?? evidence.text ?? ((evidence.body?.sentence ?? evidence.body?.text) as Words | undefined) ?? null;
}

function fromBody(evidence: Evidence | undefined): Contribution[] | undefined {
  const inside = evidence?.body?.contributions;
  return Array.isArray(inside) ? (inside as Contribution[]) : undefined;
}
