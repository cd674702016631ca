// One job on the phone: why, the machine now, the guide, and one big button for the next step.
import { useEffect, useState } from "react";
import { Button } from "@mantine/core";
import { useMeters } from "../api/meters";
import { useAsset, useTicket } from "../api/queries";
import type { Allowed, Asset, Me, Ticket, TicketStatus } from "../api/types";
import { useSpeech, type Key } from "../i18n";
import { EvidenceList, Guide, Verification } from "../parts/job_parts";
import { Gear, Hourglass, Pin } from "../parts/icons";
import { HealthLight, StatusChip } from "../parts/marks";
import type { Moment } from "../parts/plot";
import { SignalFace } from "../parts/signal_card";
import { SignalPlots } from "../parts/signal_plot";
import { Due } from "../parts/sla";
import { Await, Bones } from "../parts/states";
import { Timeline } from "../parts/timeline";
import { MoveProblem, stepLabel, steps, TransitionForm, useTransition } from "../parts/transition";
import { Contributions, reasonOf } from "../parts/why";
import { go } from "../router";
import { markSeen } from "./notices";
import { PartsPanel } from "./parts";
import { WorkPanels } from "./work";

const SHOWN_SIGNALS = 6;
const STEPS: [Key, TicketStatus[]][] = [
  ["my.stepAccept", ["new", "assigned", "reopened"]],
  ["my.stepArrive", ["accepted"]],
  ["my.stepDone", ["arrived"]],
  ["my.stepCheck", ["done", "verifying"]],
];
const MAIN_STEPS = ["accepted", "arrived", "done"];

export default function JobPage({ ticketId, me }: { ticketId: number; me: Me }) {
  const ticket = useTicket(ticketId);
  useEffect(() => markSeen(ticketId), [ticketId]);
  return (
    <Await query={ticket} bones={<Bones rows={3} height={120} />}>
      {(data) => <Job key={data.ticket_id} ticket={data} me={me} />}
    </Await>
  );
}

function Job({ ticket, me }: { ticket: Ticket; me: Me }) {
  const { t } = useSpeech();
  const asset = useAsset(ticket.asset?.asset_id ?? null);
  return (
    <>
      <Head ticket={ticket} asset={asset.data} />
      {(ticket.verification || ["done", "verifying"].includes(ticket.status)) && (
        <section className="panel"><h2>{t("verify.title")}</h2><Verification ticket={ticket} /></section>
      )}
      <Why ticket={ticket} asset={asset.data} />
      {!["new", "assigned"].includes(ticket.status) && <WorkPanels ticket={ticket} me={me} />}
      {me.engineer_id !== null && ticket.status !== "new" && <PartsPanel ticket={ticket} />}
      {asset.data && asset.data.signals.length > 0 && <Signals ticket={ticket} asset={asset.data} />}
      {asset.data && <Meters assetId={asset.data.asset_id} />}
      <section className="panel"><h2>{t("my.guide")}</h2><Guide ticket={ticket} reader="work" /></section>
      <details className="panel fold">
        <summary>{t("my.history")}</summary>
        <Timeline ticketId={ticket.ticket_id} />
      </details>
      <ActionBar ticket={ticket} me={me} />
    </>
  );
}

function Head({ ticket, asset }: { ticket: Ticket; asset: Asset | undefined }) {
  const { t } = useSpeech();
  const at = STEPS.findIndex(([, statuses]) => statuses.includes(ticket.status));
  const over = ["closed"].includes(ticket.status);
  return (
    <section className="panel stack">
      <div className="row between"><span className="soft small">{ticket.ref}</span><StatusChip status={ticket.status} /></div>
      <h1>{ticket.title}</h1>
      <ol className="steps" style={{ listStyle: "none" }}>
        {STEPS.map(([key], step) => (
          <li key={key} className={over || (at >= 0 && step < at) ? "past" : step === at ? "now" : ""} aria-current={step === at ? "step" : undefined}>
            {t(key)}
          </li>
        ))}
      </ol>
      <div className="job-facts">
        {ticket.asset && <span><Gear />{ticket.asset.code} {ticket.asset.name} {asset && <HealthLight health={asset.health} />}</span>}
        {(ticket.asset?.location || asset?.location) && <span><Pin />{ticket.asset?.location ?? asset?.location}</span>}
        <span><Hourglass /><Due ticket={ticket} /></span>
      </div>
    </section>
  );
}

function Why({ ticket, asset }: { ticket: Ticket; asset: Asset | undefined }) {
  const { t, say } = useSpeech();
  const [plot, setPlot] = useState(false);
  const reason = reasonOf(ticket, asset);
  const ids = [...reason.contributions].sort((a, b) => b.share - a.share).map((one) => one.signal_id);
  const signal = asset?.signals.find((one) => one.signal_id === ids[0]) ?? asset?.signals.find((one) => one.role === "measured");
  const moments: Moment[] = reason.detectedAt ? [{ atMs: Date.parse(reason.detectedAt), label: t("plot.detected"), tone: "alarm" }] : [];
  return (
    <section className="panel stack">
      <h2>{t("my.why")}</h2>
      {reason.sentence && <p className="lead">{say(reason.sentence)}</p>}
      {ticket.description && !reason.sentence && <p className="written">{ticket.description}</p>}
      {ticket.description && reason.sentence && (
        <details className="fold"><summary>{t("order.description")}</summary><p className="written">{ticket.description}</p></details>
      )}
      {!reason.sentence && !ticket.description && <p className="soft">{t("order.noWhy")}</p>}
      {reason.contributions.length > 0 && <Contributions items={reason.contributions} signals={asset?.signals} />}
      <EvidenceList ticket={ticket} />
      {signal && (
        <Button variant="default" size="md" className="thumb" aria-expanded={plot} onClick={() => setPlot(!plot)}>
          {t(plot ? "my.hidePlot" : "my.showPlot")}
        </Button>
      )}
      {plot && signal && <SignalPlots signals={[signal]} moments={moments} detectedAt={reason.detectedAt} height={200} />}
    </section>
  );
}

function Signals({ ticket, asset }: { ticket: Ticket; asset: Asset }) {
  const { t } = useSpeech();
  const ids = reasonOf(ticket, asset).contributions.map((one) => one.signal_id);
  const rank = (id: number) => (ids.includes(id) ? ids.indexOf(id) : 99);
  const signals = asset.signals.filter((one) => one.role !== "setpoint" || ids.includes(one.signal_id))
    .sort((a, b) => rank(a.signal_id) - rank(b.signal_id)).slice(0, SHOWN_SIGNALS);
  return (
    <section className="panel">
      <h2>{t("my.signals")}</h2>
      <ul className="signal-grid">
        {signals.map((signal) => <li key={signal.signal_id}><SignalFace signal={signal} /></li>)}
      </ul>
    </section>
  );
}

/** A reading is entered while somebody stands before the dial. */
function Meters({ assetId }: { assetId: number }) {
  const { t } = useSpeech();
  const meters = useMeters(assetId);
  if (!meters.data?.length) return null;
  return (
    <section className="panel stack">
      <h2>{t("mt.title")}</h2>
      {meters.data.map((one) => <Button key={one.meter_id} component="a" variant="default" size="md" className="thumb" href={`#/plans/meters/${one.meter_id}`}>{one.name}</Button>)}
    </section>
  );
}

function ActionBar({ ticket, me }: { ticket: Ticket; me: Me }) {
  const speech = useSpeech();
  const { t } = speech;
  const mover = useTransition(ticket);
  const [open, setOpen] = useState<Allowed | null>(null);
  const mine = ticket.assignee !== null && ticket.assignee.engineer_id === me.engineer_id;
  const choices = steps(ticket);
  const main = choices.find((one) => MAIN_STEPS.includes(one.to)) ?? choices.find((one) => ticket.status === "on_hold" && one.to === "assigned");
  const rest = choices.filter((one) => one !== main && one.to !== "cancelled");
  const press = (one: Allowed) => {
    if (one.to === "done") go(`/my/${ticket.ticket_id}/finish`);
    else if (one.requires.length > 0) setOpen(open?.to === one.to ? null : one);
    else void mover.move(one.to, {});
  };
  if (choices.length === 0) return mine ? null : <p className="soft">{t("my.notYours")}</p>;
  return (
    <>
      {open && (
        <section className="panel"><TransitionForm key={open.to} ticket={ticket} step={open} mover={mover} cancel={() => setOpen(null)} saved={() => setOpen(null)} /></section>
      )}
      <div className="action-bar">
        <MoveProblem mover={mover} ticket={ticket} />
        <div className="action-row">
          {rest.map((one) => (
            <Button key={one.to} variant="default" className="thumb" onClick={() => press(one)}>{stepLabel(one, speech)}</Button>
          ))}
          {main && (
            <Button className="thumb main-step" loading={mover.sending} onClick={() => press(main)}>{stepLabel(main, speech)}</Button>
          )}
        </div>
      </div>
    </>
  );
}
