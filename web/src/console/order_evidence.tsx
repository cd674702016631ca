// What an order rests on: the states frozen at opening and closing, the signed pack, and the plot that proves the repair.
import { lazy, Suspense } from "react";
import { packFile, useFrozen, type Frozen } from "../api/proof";
import { useAsset } from "../api/queries";
import type { Signal, Ticket, VerificationPlot } from "../api/types";
import { useSpeech } from "../i18n";
import { fullMoment, number, signalName } from "../i18n/format";
import type { Moment } from "../parts/plot";
import { Await } from "../parts/states";

const Plot = lazy(() => import("../parts/plot"));
const HEIGHT = 200;

export function OrderEvidence({ ticket }: { ticket: Ticket }) {
  const { t } = useSpeech();
  const found = useFrozen(ticket.ticket_id);
  return (
    <section className="panel stack" aria-label={t("proof.title")}>
      <h2>{t("proof.title")}</h2>
      <p className="soft" style={{ margin: 0 }}>{t("proof.lead")}</p>
      <Await query={found}>
        {({ items }) => items.length === 0 ? <p className="soft" style={{ margin: 0 }}>{t("proof.none")}</p> : (
          <ul className="stack tight">{items.map((one) => <li key={`${one.what} ${one.attempt}`}><State one={one} /></li>)}</ul>
        )}
      </Await>
      <div><a className="tall-link" href={packFile(ticket.ticket_id)} download>{t("proof.pack")}</a></div>
    </section>
  );
}

function State({ one }: { one: Frozen }) {
  const speech = useSpeech();
  const { t, code } = speech;
  return (
    <>
      <div><strong>{code("proofWhat", one.what)}</strong> <span className="soft">{fullMoment(one.frozen_at, speech)} · {t("proof.size", { n: number(one.bytes / 1024, speech) })}{one.attempt > 1 && ` · ${t("proof.attempt", { n: one.attempt })}`}</span></div>
      <code className="small soft" style={{ overflowWrap: "anywhere" }}>SHA-256 {one.sha256}</code>
    </>
  );
}

/** Before, after, and the band of the healthy machine, as the proof itself kept them. */
export function ProofPlots({ ticket }: { ticket: Ticket }) {
  const speech = useSpeech();
  const { t } = speech;
  const asset = useAsset(ticket.asset?.asset_id ?? null);
  const check = ticket.verification;
  if (!check?.plot?.length) return null;
  const moments: Moment[] = [{ atMs: Date.parse(check.started_at), label: t("verify.repaired"), tone: "calm" }];
  return (
    <div className="stack">
      <p className="soft small" style={{ margin: 0 }}>{t("verify.plotLead")}</p>
      {check.plot.map((one) => {
        const signal = asset.data?.signals.find((each) => each.signal_id === one.signal_id) ?? unknown(one);
        return (
          <section key={one.signal_id} aria-label={signalName(signal, speech)}>
            <h3>{signalName(signal, speech)}</h3>
            <Suspense fallback={<div className="bone" style={{ height: HEIGHT + 24 }} />}>
              <Plot signal={signal} series={{ ...one, resolution: "", min: null, max: null }} moments={moments} height={HEIGHT} />
            </Suspense>
          </section>
        );
      })}
    </div>
  );
}

/** A signal that the machine has no more is still drawn as it was kept. */
function unknown(one: VerificationPlot): Signal {
  return { signal_id: one.signal_id, code: one.code, name: one.code, quantity: "", unit: one.unit, low: null, high: null, role: "measured", period_s: 60, latest: null };
}
