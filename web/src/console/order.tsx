// One work order: why it exists, where it stands, who does it, and what may happen next.
import { useState, type FormEvent } from "react";
import { Button, NativeSelect, SegmentedControl, Textarea } from "@mantine/core";
import { useNow } from "../api/clock";
import { queryClient, useAsset, useEngineers, useTicket } from "../api/queries";
import { useSend, useStored } from "../api/send";
import type { Asset, Me, Ticket } from "../api/types";
import { useSpeech } from "../i18n";
import { fullMoment, moment } from "../i18n/format";
import { Approvals, RequestToOrder } from "../parts/approval";
import { AttachmentsPanel } from "../parts/attachments";
import { CustomFields } from "../parts/custom_fields";
import { Family, MergedAway } from "../parts/family";
import { EvidenceList, Guide, Verification } from "../parts/job_parts";
import { SimilarOrders } from "../parts/similar";
import { HealthLight, isOpen, PriorityMark, StatusChip } from "../parts/marks";
import { OrderPlan } from "../parts/order_plan";
import type { Moment } from "../parts/plot";
import { SignalPlots } from "../parts/signal_plot";
import { Costs, Split } from "../parts/split_cost";
import { SlaClocks } from "../parts/sla";
import { Await } from "../parts/states";
import { Timeline } from "../parts/timeline";
import { Triage } from "../parts/triage";
import { MoveProblem, SendProblem, TransitionPanel, useTransition } from "../parts/transition";
import { Contributions, reasonOf } from "../parts/why";
import { WorkDone } from "../parts/work_done";
import { OrderEvidence, ProofPlots } from "./order_evidence";

const PLOTTED = 2;
const PROVERS = ["engineer", "planner", "manager", "admin"];
const DISPATCHERS = ["planner", "manager", "admin"];

export default function Order({ ticketId, me }: { ticketId: number; me: Me }) {
  const { t } = useSpeech();
  const ticket = useTicket(ticketId);
  return (
    <>
      <p className="crumb"><a href="#/orders">← {t("order.title")}</a></p>
      <Await query={ticket}>{(data) => <Detail key={data.ticket_id} ticket={data} me={me} />}</Await>
    </>
  );
}

function Detail({ ticket, me }: { ticket: Ticket; me: Me }) {
  const { t, code } = useSpeech();
  const asset = useAsset(ticket.asset?.asset_id ?? null);
  return (
    <>
      <div className="page-head">
        <div>
          <h1>{ticket.title}</h1>
          <p className="row">
            <span>{ticket.ref}</span><span>·</span><span>{code("kind", ticket.kind)}</span>
            <StatusChip status={ticket.status} /> <PriorityMark priority={ticket.priority} />
          </p>
        </div>
      </div>
      <MergedAway ticket={ticket} />
      <div className="split">
        <div>
          {ticket.verification && <section className="panel"><h2>{t("verify.title")}</h2><Verification ticket={ticket} /><ProofPlots ticket={ticket} /></section>}
          <Why ticket={ticket} asset={asset.data} />
          {ticket.asset && PROVERS.includes(me.role) && <OrderEvidence ticket={ticket} />}
          {ticket.description && (
            <section className="panel"><h2>{t("order.description")}</h2><p className="written">{ticket.description}</p></section>
          )}
          {me.role !== "requester" && <WorkDone ticketId={ticket.ticket_id} />}
          <AttachmentsPanel ticketId={ticket.ticket_id} />
          <section className="panel"><h2>{t("order.guide")}</h2><Guide ticket={ticket} /></section>
          <SimilarOrders ticketId={ticket.ticket_id} />
          <section className="panel"><h2>{t("order.timeline")}</h2><Timeline ticketId={ticket.ticket_id} /></section>
          <section className="panel"><h2>{t("order.comment")}</h2><CommentForm ticket={ticket} /></section>
        </div>
        <div>
          <section className="panel"><h2>{t("order.actions")}</h2><TransitionPanel ticket={ticket} /></section>
          <RequestToOrder ticket={ticket} me={me} />
          <Approvals ticket={ticket} />
          <section className="panel"><h2>{t("sla.title")}</h2><SlaClocks ticket={ticket} /></section>
          <section className="panel"><h2>{t("order.assignee")}</h2><Assignment ticket={ticket} me={me} /></section>
          {me.role !== "requester" && ticket.kind !== "request" && isOpen(ticket.status) && <OrderPlan ticket={ticket} me={me} />}
          <Triage ticket={ticket} me={me} />
          <section className="panel"><h2>{t("order.facts")}</h2><Facts ticket={ticket} asset={asset.data} /></section>
          <CustomFields ticket={ticket} me={me} />
          <Family ticket={ticket} me={me} />
          <Costs ticket={ticket} me={me} />
          <Split ticket={ticket} me={me} />
        </div>
      </div>
    </>
  );
}

function Why({ ticket, asset }: { ticket: Ticket; asset: Asset | undefined }) {
  const { t, say } = useSpeech();
  const reason = reasonOf(ticket, asset);
  const ids = [...reason.contributions].sort((a, b) => b.share - a.share).map((one) => one.signal_id);
  const chosen = asset?.signals.filter((signal) => ids.includes(signal.signal_id)).sort((a, b) => ids.indexOf(a.signal_id) - ids.indexOf(b.signal_id));
  const signals = chosen?.length ? chosen : asset?.signals.filter((signal) => signal.role === "measured") ?? [];
  const moments: Moment[] = reason.detectedAt ? [{ atMs: Date.parse(reason.detectedAt), label: t("plot.detected"), tone: "alarm" }] : [];
  return (
    <section className="panel stack">
      <h2>{t("order.why")}</h2>
      {reason.sentence ? <p className="lead">{say(reason.sentence)}</p> : <p className="soft">{t("order.noWhy")}</p>}
      {reason.contributions.length > 0 && <Contributions items={reason.contributions} signals={asset?.signals} />}
      <EvidenceList ticket={ticket} />
      {signals.length > 0 && <SignalPlots signals={signals.slice(0, PLOTTED)} moments={moments} detectedAt={reason.detectedAt} height={200} />}
    </section>
  );
}

function Facts({ ticket, asset }: { ticket: Ticket; asset: Asset | undefined }) {
  const speech = useSpeech();
  const { t, say, code } = speech;
  const now = useNow();
  const requester = ticket.requester?.name;
  return (
    <dl className="facts">
      {ticket.asset && (
        <>
          <dt>{t("order.asset")}</dt>
          <dd><a href={`#/assets/${ticket.asset.asset_id}`}>{ticket.asset.code} {ticket.asset.name}</a></dd>
          {asset && <><dt>{t("asset.health")}</dt><dd><HealthLight health={asset.health} /></dd></>}
          <dt>{t("order.place")}</dt><dd>{ticket.asset.location ?? asset?.location ?? "–"}</dd>
        </>
      )}
      {ticket.mode && <><dt>{t("order.mode")}</dt><dd>{say(ticket.mode.name)}</dd></>}
      {ticket.verdict && <><dt>{t("order.verdict")}</dt><dd>{code("verdict", ticket.verdict)}</dd></>}
      {ticket.skill && <><dt>{t("order.skill")}</dt><dd>{code("skill", ticket.skill)}</dd></>}
      {requester && <><dt>{t("order.requester")}</dt><dd>{requester}</dd></>}
      <dt>{t("order.opened")}</dt><dd title={fullMoment(ticket.opened_at, speech)}>{moment(ticket.opened_at, now, speech)}</dd>
    </dl>
  );
}

function Assignment({ ticket, me }: { ticket: Ticket; me: Me }) {
  const { t, say } = useSpeech();
  const may = DISPATCHERS.includes(me.role) && isOpen(ticket.status) && !["done", "verifying"].includes(ticket.status);
  return (
    <div className="stack">
      <p className="strong">{ticket.assignee?.name ?? t("order.unassigned")}</p>
      {ticket.assignment_reasons.length > 0 && (
        <div>
          <h3>{t("order.assignReasons")}</h3>
          <ul className="stack tight" style={{ marginTop: 4 }}>
            {ticket.assignment_reasons.map((reason, row) => <li key={row}>{say(reason)}</li>)}
          </ul>
        </div>
      )}
      {may && <AssignForm ticket={ticket} />}
    </div>
  );
}

function AssignForm({ ticket }: { ticket: Ticket }) {
  const { t } = useSpeech();
  const engineers = useEngineers();
  const [chosen, setChosen] = useState("");
  const mover = useTransition(ticket);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const engineer = chosen ? Number(chosen) : null;
    const answer = await mover.sendTo("assign", { engineer_id: engineer });
    if (answer) setChosen("");
  };
  const data = (engineers.data ?? []).map((one) => ({
    value: String(one.engineer_id),
    label: `${one.name} · ${t(one.on_shift ? "order.onShift" : "order.offShift")} · ${t("order.jobs", { n: one.open_jobs })}`,
  }));
  return (
    <form className="stack tight" onSubmit={(event) => void submit(event)}>
      <NativeSelect
        label={t("order.assignTo")} value={chosen} onChange={(event) => setChosen(event.currentTarget.value)}
        data={[{ value: "", label: t("order.assignAuto") }, ...data]}
      />
      <Button type="submit" variant="default" loading={mover.sending}>{t("order.assign")}</Button>
      <MoveProblem mover={mover} ticket={ticket} />
    </form>
  );
}

function CommentForm({ ticket }: { ticket: Ticket }) {
  const { t } = useSpeech();
  const [text, setText] = useStored(`draft.${ticket.ticket_id}.comment`, "");
  const [audience, setAudience] = useState("internal");
  const sender = useSend(`comment.${ticket.ticket_id}`, async () => {
    setText("");
    await queryClient.invalidateQueries({ queryKey: ["ticket"] });
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (text.trim()) void sender.send(`/tickets/${ticket.ticket_id}/comments`, { text: text.trim(), audience });
  };
  return (
    <form className="stack" onSubmit={submit}>
      <Textarea aria-label={t("order.commentText")} placeholder={t("order.commentText")} autosize minRows={2} value={text} onChange={(event) => setText(event.currentTarget.value)} />
      <div className="row between">
        <SegmentedControl
          size="xs" aria-label={t("order.audience")} value={audience} onChange={setAudience}
          data={[{ value: "internal", label: t("order.internal") }, { value: "requester", label: t("order.requesterToo") }]}
        />
        <Button type="submit" variant="default" loading={sender.sending} disabled={!text.trim()}>{t("order.commentSend")}</Button>
      </div>
      <SendProblem sender={sender} />
    </form>
  );
}
