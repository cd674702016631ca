// What waits for a planner: accept, merge, snooze or reject, highest risk first. "/" searches, "j" and "k" walk, "a" accepts.
import { useEffect, useState, type FormEvent } from "react";
import { Button, NativeSelect, Textarea, TextInput } from "@mantine/core";
import { call, Problem } from "../api/client";
import { plantNow } from "../api/clock";
import { refreshReview, useProposal, useQueue, type Proposal, type Queue, type QueueState } from "../api/review";
import type { Me } from "../api/types";
import { useSpeech } from "../i18n";
import { chance, money, moment, number, percent, signalName, span } from "../i18n/format";
import { CostCurve } from "../parts/cost_curve";
import { Age, Criticality } from "../parts/marks";
import { Head, Refused, useJob } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";
import { Arrow } from "../parts/why";
import { ROW } from "./list_keys";

const STATES: QueueState[] = ["open", "snoozed", "decided"];
const WHYS = ["nothing_found", "sensor", "known", "not_worth"] as const;
const DECIDERS = ["planner", "manager", "admin"];
const DAY_MS = 86_400_000;

export default function ReviewPage({ me }: { me: Me }) {
  const { t, code } = useSpeech();
  const [state, setState] = useState<QueueState>("open");
  const [text, setText] = useState("");
  const queue = useQueue(state, state === "open" ? text : "");
  useSearchKey();
  return (
    <>
      <Head title={t("rv.title")} lead={t("rv.lead")}>
        {queue.data && <span className="soft">{t("rv.count", { n: queue.data.open, m: queue.data.snoozed })}</span>}
      </Head>
      <div className="row" style={{ alignItems: "flex-end", marginBottom: 12 }}>
        <NativeSelect label={t("rv.show")} value={state} data={STATES.map((value) => ({ value, label: code("rvList", value) }))} onChange={(event) => setState(event.currentTarget.value as QueueState)} />
        {state === "open" && <TextInput id="review-search" label={t("rv.search")} value={text} maxLength={100} onChange={(event) => setText(event.currentTarget.value)} />}
        <span className="small soft">{t("rv.keys")}</span>
      </div>
      <Await query={queue}>{(data) => <List data={data} state={state} me={me} />}</Await>
    </>
  );
}

function List({ data, state, me }: { data: Queue; state: QueueState; me: Me }) {
  const { t } = useSpeech();
  if (data.items.length === 0) return <div className="panel"><Empty title={t("rv.empty")} hint={state === "open" ? t("rv.emptyHint") : undefined} /></div>;
  return <ul className="stack" style={{ listStyle: "none", padding: 0, margin: 0 }}>{data.items.map((one) => <li key={one.review_id}><One one={one} me={me} /></li>)}</ul>;
}

function One({ one, me }: { one: Proposal; me: Me }) {
  const speech = useSpeech();
  const { t, say, code } = speech;
  const [form, setForm] = useState<"" | "merge" | "snooze" | "reject" | "curve">("");
  const job = useJob();
  const name = `${one.asset.code} ${say(one.mode.name)}`;
  const may = DECIDERS.includes(me.role) && one.state === "open";
  const send = (verb: string, body?: unknown) => job.run(async () => {
    try {
      const made = await call<{ ref?: string }>(`/review/${one.review_id}/${verb}`, { method: "POST", version: one.version, body });
      toast(`${name}: ${code("rvDone", verb)}${made.ref ? ` ${made.ref}` : ""}`);
    } catch (error) {
      if (error instanceof Problem && error.code === "review_decided") toast(error.detail);
      throw error;
    } finally {
      await refreshReview();
    }
  });
  const open = (which: typeof form) => setForm(form === which ? "" : which);
  return (
    <section
      className="panel stack" aria-label={name}
      onKeyDown={(event) => may && event.key === "a" && !typing(event.target) && !event.ctrlKey && !event.metaKey && void send("accept")}
    >
      <div className="row between">
        <h2 style={{ margin: 0 }}><a href={`#/predictions/${one.alarm_id}`} {...{ [ROW]: "" }}>{one.asset.code} {one.asset.name}: {say(one.mode.name)}</a></h2>
        <span className="row"><Criticality value={one.asset.criticality} /><span className="chip">{code("rvWhy", one.why)}</span></span>
      </div>
      <Facts one={one} />
      <p style={{ margin: 0 }}>{say(one.sentence)}</p>
      <div className="contrib">
        {one.contributions.slice(0, 3).map((signal) => <span key={signal.signal_id} className="chip">{signalName(signal, speech)} <Arrow direction={signal.direction} /> {percent(signal.share)}</span>)}
      </div>
      {one.state !== "open" && <Past one={one} />}
      {one.owner && one.state === "open" && <p className="small soft" style={{ margin: 0 }}>{t("rv.owned", { who: one.owner, until: moment(one.due_at, plantNow(), speech) })} {one.reason}</p>}
      <Refused problem={job.problem} />
      <div className="row">
        {may && <Button loading={job.busy} aria-label={`${t("rv.accept")}: ${name}`} onClick={() => void send("accept")}>{t("rv.accept")}</Button>}
        {may && (["merge", "snooze", "reject"] as const).map((verb) => (
          <Button key={verb} variant="default" aria-expanded={form === verb} aria-label={`${code("rvVerb", verb)}: ${name}`} onClick={() => open(verb)}>{code("rvVerb", verb)}</Button>
        ))}
        {one.prediction_id !== null && one.moment && <Button variant="default" aria-expanded={form === "curve"} aria-label={`${t("rv.moment")}: ${name}`} onClick={() => open("curve")}>{t("rv.moment")}</Button>}
      </div>
      {form === "merge" && <MergeForm one={one} send={send} />}
      {form === "snooze" && <SnoozeForm me={me} send={send} />}
      {form === "reject" && <RejectForm send={send} />}
      {form === "curve" && one.prediction_id !== null && <CostCurve predictionId={one.prediction_id} />}
    </section>
  );
}

function Facts({ one }: { one: Proposal }) {
  const speech = useSpeech();
  const { t } = speech;
  const cost = (amount: number) => (one.cost ? money(amount, one.cost.currency, speech) : number(amount, speech));
  const facts: [string, string, string][] = [
    [t("prediction.risk"), cost(one.risk), one.cost ? `${cost(one.cost.failure)} ${t("prediction.costFailure")}, ${cost(one.cost.planned)} ${t("prediction.costPlanned")}` : ""],
    [t("prediction.sure"), chance(one.p_fail_horizon), one.horizon_h === null ? "" : t("prediction.within", { span: span(one.horizon_h, speech) })],
    [t("prediction.when"), one.p50_h === null ? t("prediction.noTime") : t("prediction.median", { span: span(one.p50_h, speech) }), one.p10_h === null || one.p90_h === null ? "" : t("prediction.range", { low: span(one.p10_h, speech), high: span(one.p90_h, speech) })],
  ];
  if (one.moment) facts.push([t("rv.best"), moment(one.moment.start_at, plantNow(), speech), t("rv.bestHint", { cost: cost(one.moment.total), now: cost(one.moment.now_total) })]);
  return (
    <dl className="row" style={{ gap: "8px 28px", alignItems: "flex-start", margin: 0 }}>
      {facts.map(([name, value, hint]) => (
        <div key={name}><dt className="small soft">{name}</dt><dd style={{ margin: 0 }}><b>{value}</b> <span className="small soft">{hint}</span></dd></div>
      ))}
      <div><dt className="small soft">{t("rv.proposed")}</dt><dd style={{ margin: 0 }}><Age at={one.proposed_at} /></dd></div>
    </dl>
  );
}

function Past({ one }: { one: Proposal }) {
  const { code } = useSpeech();
  return (
    <p style={{ margin: 0 }}>
      <b>{code("rvState", one.state)}</b> {one.decided_by} {one.decided_at && <Age at={one.decided_at} />} {one.reason}{" "}
      {one.ticket && <a href={`#/orders/${one.ticket.ticket_id}`}>{one.ticket.ref}</a>}
    </p>
  );
}

type Send = (verb: string, body?: unknown) => Promise<void>;

function MergeForm({ one, send }: { one: Proposal; send: Send }) {
  const { t } = useSpeech();
  const detail = useProposal(one.review_id);
  return (
    <Await query={detail}>
      {(data) => data.orders.length === 0
        ? <p className="soft" style={{ margin: 0 }}>{t("rv.noOrders")}</p>
        : <div className="row">{data.orders.map((order) => <Button key={order.ticket_id} variant="default" onClick={() => void send("merge", { ticket_id: order.ticket_id })}>{order.ref} {order.title}</Button>)}</div>}
    </Await>
  );
}

function SnoozeForm({ me, send }: { me: Me; send: Send }) {
  const { t } = useSpeech();
  const [owner, setOwner] = useState(me.name);
  const [days, setDays] = useState("1");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void send("snooze", { owner, until: new Date(plantNow() + Number(days) * DAY_MS).toISOString() });
  };
  return (
    <form className="row" style={{ alignItems: "flex-end" }} onSubmit={submit}>
      <TextInput label={t("rv.owner")} value={owner} required maxLength={300} onChange={(event) => setOwner(event.currentTarget.value)} />
      <NativeSelect label={t("rv.until")} value={days} data={["1", "2", "7", "14", "30"].map((value) => ({ value, label: t("rv.days", { n: value }) }))} onChange={(event) => setDays(event.currentTarget.value)} />
      <Button type="submit">{t("rv.snoozeNow")}</Button>
    </form>
  );
}

function RejectForm({ send }: { send: Send }) {
  const { t, code } = useSpeech();
  const [why, setWhy] = useState<string>(WHYS[0]);
  const [reason, setReason] = useState("");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void send("reject", { why, reason });
  };
  return (
    <form className="stack tight" onSubmit={submit}>
      <NativeSelect label={t("rv.because")} value={why} data={WHYS.map((value) => ({ value, label: code("rvReject", value) }))} onChange={(event) => setWhy(event.currentTarget.value)} />
      <Textarea label={t("rv.reason")} required minLength={3} maxLength={1000} autosize minRows={1} value={reason} onChange={(event) => setReason(event.currentTarget.value)} />
      <div><Button type="submit" disabled={reason.trim().length < 3}>{t("rv.rejectNow")}</Button></div>
    </form>
  );
}

/** On this page "/" searches the queue, not the tickets. */
function useSearchKey(): void {
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const box = document.querySelector<HTMLInputElement>("#review-search");
      if (event.key !== "/" || typing(event.target) || !box) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      box.focus();
    };
    window.addEventListener("keydown", press, true);
    return () => window.removeEventListener("keydown", press, true);
  }, []);
}

function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
}
