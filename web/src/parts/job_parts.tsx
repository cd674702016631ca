// Pieces of an order that both the console and the phone show: guide, evidence, and the repair check.
import { useEffect, useState } from "react";
import { Button } from "@mantine/core";
import { call } from "../api/client";
import { useArticle, useAsset } from "../api/queries";
import { useNow } from "../api/clock";
import type { Ticket, VerificationSignal } from "../api/types";
import { enter } from "../api/work";
import { useSpeech } from "../i18n";
import { moment, number, signalName } from "../i18n/format";
import { GuideText } from "./guide_text";
import { ToneMark } from "./marks";
import { Await, Bones } from "./states";
import { sentenceOf } from "./why";

const DECIDED = ["healthy", "unhealthy"];

/** The guides of an order. At work, reading one is told to the API, and so is that it was followed or how much it helped. */
export function Guide({ ticket, reader = "office" }: { ticket: Ticket; reader?: "office" | "work" }) {
  const { t, say } = useSpeech();
  const [chosen, setChosen] = useState(0);
  const current = ticket.articles[chosen] ?? ticket.articles[0] ?? null;
  const article = useArticle(current?.article_id ?? null);
  const read = reader === "work" ? current?.article_id : undefined;
  useEffect(() => {
    if (read !== undefined) void call(`/tickets/${ticket.ticket_id}/guides/${read}/opened`, { method: "POST" }).catch(() => undefined);
  }, [read, ticket.ticket_id]);
  if (!current) return <p className="soft">{t("order.noGuide")}</p>;
  return (
    <div className="stack">
      {ticket.articles.length > 1 && (
        <div className="row">
          {ticket.articles.map((one, row) => (
            <button key={one.article_id} type="button" className={`chip pick ${row === chosen ? "accent" : ""}`} aria-pressed={row === chosen} onClick={() => setChosen(row)}>
              {say(one.title)}
            </button>
          ))}
        </div>
      )}
      {current.reason && <p className="soft small">{t("guides.because", { reason: say(current.reason) })}</p>}
      <Await query={article} bones={<Bones rows={1} height={120} />}>
        {(data) => <><h3>{say(data.title)}</h3><GuideText body={data.body} steps={data.steps ?? []} /></>}
      </Await>
      {reader === "work" && <Helped ticketId={ticket.ticket_id} guide={current} />}
    </div>
  );
}

function Helped({ ticketId, guide }: { ticketId: number; guide: Ticket["articles"][number] }) {
  const { t } = useSpeech();
  const [used, setUsed] = useState<number | string | null>(guide.used ? guide.article_id : null);
  const [rating, setRating] = useState(guide.rating ?? 0);
  const path = `/tickets/${ticketId}/guides/${guide.article_id}`;
  return (
    <div className="row">
      <Button className="thumb" variant="default" aria-pressed={used === guide.article_id} disabled={used === guide.article_id}
        onClick={() => { enter(ticketId, `${path}/used`, {}); setUsed(guide.article_id); }}>
        {used === guide.article_id ? `✓ ${t("guides.followed")}` : t("guides.follow")}
      </Button>
      {used === guide.article_id && RATINGS.map((value) => (
        <Button key={value} className="thumb" px="sm" variant={rating === value ? "filled" : "default"} aria-pressed={rating === value} aria-label={t("guides.rate", { n: value })}
          onClick={() => { enter(ticketId, `${path}/rating`, { rating: value }); setRating(value); }}>
          {value}
        </Button>
      ))}
    </div>
  );
}

const RATINGS = [1, 2, 3, 4, 5];

/** Evidence after the first sentence, which the page has already said as the reason. */
export function EvidenceList({ ticket }: { ticket: Ticket }) {
  const speech = useSpeech();
  const now = useNow();
  const rest = ticket.evidence.filter((one) => sentenceOf(one) !== null).slice(1);
  if (rest.length === 0) return null;
  return (
    <div>
      <h3>{speech.t("order.evidence")}</h3>
      <ul className="stack tight" style={{ marginTop: 4 }}>
        {rest.map((one, row) => (
          <li key={row}>
            {one.at && <span className="soft small">{moment(one.at, now, speech)} </span>}
            {speech.say(sentenceOf(one))}
          </li>
        ))}
      </ul>
    </div>
  );
}

export function Verification({ ticket }: { ticket: Ticket }) {
  const speech = useSpeech();
  const { t, say, code } = speech;
  const now = useNow();
  const asset = useAsset(ticket.asset?.asset_id ?? null);
  const check = ticket.verification;
  if (!check) return <p>{t("verify.explain")}</p>;
  const name = (one: VerificationSignal) => {
    const known = asset.data?.signals.find((signal) => signal.signal_id === one.signal_id);
    return signalName(known ?? { code: one.code ?? `#${one.signal_id}`, name: one.name }, speech);
  };
  return (
    <div className="stack">
      <div className="row between">
        <ToneMark tone={["unhealthy", "needs_person"].includes(check.status) ? "watch" : "calm"}>
          <strong>{code("verify", check.status)}</strong>
        </ToneMark>
        <span className="soft small">{t("verify.since", { time: moment(check.started_at, now, speech) })}</span>
      </div>
      {check.detail && <p>{say(check.detail)}</p>}
      <HoursSeen check={check} />
      {check.decided_by && <p>{t("verify.person", { who: check.decided_by })} {check.decided_reason}</p>}
      {!check.decided_by && DECIDED.includes(check.status) && <p>{t("verify.telemetry")}</p>}
      {check.signals.length > 0 && (
        <ul className="stack tight">
          {check.signals.map((one) => (
            <li key={one.signal_id} className="row between">
              <span>{name(one)}</span>
              <SignalVerdict one={one} />
            </li>
          ))}
        </ul>
      )}
      <p className="soft small">
        {t("verify.explain")}
      </p>
      {check.deadline && <p className="soft small">{t("verify.deadline", { time: moment(check.deadline, now, speech) })}</p>}
    </div>
  );
}

/** Running hours seen of the hours that a proof needs. */
function HoursSeen({ check }: { check: NonNullable<Ticket["verification"]> }) {
  const speech = useSpeech();
  const { running_h: seen, need_h: need } = check;
  if (seen === null || seen === undefined || !need) return null;
  return (
    <div>
      <p style={{ margin: 0 }}>{speech.t("verify.hours", { seen: number(seen, speech), need: number(need, speech) })}</p>
      <div className="meter" aria-hidden="true"><i style={{ width: `${Math.min(seen / need, 1) * 100}%` }} /></div>
    </div>
  );
}

function SignalVerdict({ one }: { one: VerificationSignal }) {
  const speech = useSpeech();
  const { t } = speech;
  if (one.after === null || one.after === undefined) return <ToneMark tone="stale">{t("verify.signalWait")}</ToneMark>;
  const ok = Math.abs(one.after) <= 1;
  return (
    <span className="row">
      <span className="soft small">{t("verify.change", { before: number(one.before, speech), after: number(one.after, speech) })}</span>
      <ToneMark tone={ok ? "calm" : "watch"}>{t(ok ? "verify.signalOk" : "verify.signalNot")}</ToneMark>
    </span>
  );
}
