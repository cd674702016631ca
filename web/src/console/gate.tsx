// Which versions of a detector may open orders: what each has shown, the person who lets it, and the back-tests.
import { useState, type FormEvent, type ReactNode } from "react";
import { Button, NativeSelect, Textarea } from "@mantine/core";
import { AS_IT_STANDS } from "../api/backtests";
import { call } from "../api/client";
import { refreshGate, useGate, useGateChanges, type Gated, type StandingWord } from "../api/proof";
import type { Me } from "../api/types";
import { useSpeech, type Key, type Speech } from "../i18n";
import { fullMoment, number, span } from "../i18n/format";
import { Head, isConflict, Refused, useJob } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { Backtests } from "./backtests";
import { areGiven, GroundsChoice, sentGrounds, type Grounds } from "./grounds";
import { ROW } from "./list_keys";

const DAYS = ["30", "90", "365"];
const STANDINGS: StandingWord[] = ["live", "review", "shadow"];
/** What the gate itself gives as its reason. */
const OWN_REASONS: Record<string, Key> = {
  "the first version on this site": "gate.firstVersion",
  "a new version of a detector that is known": "gate.newVersion",
};
const DECIDERS = ["manager", "admin"];
const RUNNERS = ["planner", ...DECIDERS];

const SHAPES: Record<StandingWord, ReactNode> = {
  live: <path d="M3 1.5 14 8 3 14.5Z" fill="currentColor" />,
  review: <path d="M5 3v10M11 3v10" stroke="currentColor" strokeWidth="2.4" />,
  shadow: <circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" strokeWidth="2" strokeDasharray="3 2.6" />,
};

export default function GatePage({ me }: { me: Me }) {
  const { t } = useSpeech();
  const [days, setDays] = useState("90");
  const found = useGate(days);
  return (
    <>
      <Head title={t("gate.title")} lead={t("gate.lead")} back={t("detector.title")} backTo="#/detectors" />
      <div className="row" style={{ marginBottom: 12 }}>
        <NativeSelect label={t("gate.span")} value={days} data={DAYS.map((value) => ({ value, label: t("week.days", { n: value }) }))} onChange={(event) => setDays(event.currentTarget.value)} />
      </div>
      <div className="stack">
        <Await query={found}>
          {(items) => items.length === 0
            ? <div className="panel"><Empty title={t("gate.none")} hint={t("gate.noneHint")} /></div>
            : <>{items.map((one) => <One key={one.gate_id} one={one} me={me} />)}</>}
        </Await>
        <Backtests versions={found.data ?? []} may={RUNNERS.includes(me.role)} />
      </div>
    </>
  );
}

function reasonOf(one: { reason: string }, { t }: Speech): string {
  const own = OWN_REASONS[one.reason];
  return own ? t(own) : one.reason;
}

function Mark({ standing }: { standing: StandingWord }) {
  const { code } = useSpeech();
  return <span className="chip"><svg viewBox="0 0 16 16" aria-hidden="true">{SHAPES[standing]}</svg>{code("standing", standing)}</span>;
}

function One({ one, me }: { one: Gated; me: Me }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const [open, setOpen] = useState<"" | "form" | "past">("");
  const name = `${code("detectorName", one.detector)} ${one.version}`;
  const flip = (which: "form" | "past") => setOpen(open === which ? "" : which);
  return (
    <section className="panel stack tight" aria-label={name}>
      <div className="row between"><h2 style={{ margin: 0 }}>{name}</h2><Mark standing={one.standing} /></div>
      <p style={{ margin: 0 }}>{code("standingMeans", one.standing)}</p>
      <Shown one={one} />
      <p className="small soft" style={{ margin: 0 }}>{t("gate.since", { who: one.changed_by, when: fullMoment(one.changed_at, speech) })} {reasonOf(one, speech)}</p>
      <div className="row">
        {DECIDERS.includes(me.role) && <Button size="xs" variant="default" aria-expanded={open === "form"} aria-label={`${t("gate.change")}: ${name}`} onClick={() => flip("form")} {...{ [ROW]: "" }}>{t("gate.change")}</Button>}
        <Button size="xs" variant="default" aria-expanded={open === "past"} aria-label={`${t("gate.past")}: ${name}`} onClick={() => flip("past")}>{t("gate.past")}</Button>
      </div>
      {open === "form" && <Form one={one} done={() => setOpen("")} />}
      {open === "past" && <Past gateId={one.gate_id} />}
    </section>
  );
}

function Shown({ one }: { one: Gated }) {
  const speech = useSpeech();
  const { t } = speech;
  const { orders, shadow, right, wrong, lead_h, false_month } = one.figures;
  const facts: [string, string][] = [
    [t("gate.opened"), number(orders - shadow, speech)],
    [t("gate.would"), number(shadow, speech)],
    [t("gate.right"), number(right, speech)],
    [t("gate.wrong"), number(wrong, speech)],
    [t("gate.lead_h"), lead_h === null ? "–" : span(lead_h, speech)],
    [t("gate.falseMonth"), number(false_month, speech)],
  ];
  return (
    <dl className="row" style={{ gap: "8px 28px", alignItems: "flex-start", margin: 0 }}>
      {facts.map(([name, value]) => <div key={name}><dt className="small soft">{name}</dt><dd style={{ margin: 0 }}><b>{value}</b></dd></div>)}
    </dl>
  );
}

/** Sends the version it was opened with: what somebody else decided meanwhile is shown, and decided upon again. */
function Form({ one, done }: { one: Gated; done: () => void }) {
  const { t, code } = useSpeech();
  const job = useJob();
  const [seen, setSeen] = useState(one);
  const [standing, setStanding] = useState<StandingWord>(one.standing === "live" ? "review" : "live");
  const [reason, setReason] = useState("");
  const [grounds, setGrounds] = useState<Grounds>({ grounds: "shadow", backtest_id: null, reason: "" });
  const asked = standing === "live" ? sentGrounds(grounds) : {};
  const save = (event: FormEvent) => {
    event.preventDefault();
    void job.run(async () => {
      try {
        await call(`/maintenance/gate/${one.gate_id}/standing`, { method: "PUT", version: seen.row_version, body: { standing, reason: reason.trim(), ...asked } });
        done();
      } finally {
        await refreshGate();
      }
    });
  };
  const take = () => {
    setSeen(one);
    job.clear();
  };
  return (
    <form className="stack tight" onSubmit={save}>
      <NativeSelect label={t("gate.standing")} value={standing} data={STANDINGS.map((value) => ({ value, label: `${code("standing", value)}: ${code("standingMeans", value)}` }))} onChange={(event) => setStanding(event.currentTarget.value as StandingWord)} />
      {standing === "live" && <GroundsChoice kinds={["shadow", "backtest", "override"]} config={{ ...AS_IT_STANDS, gate_id: one.gate_id }} value={grounds} change={setGrounds} />}
      <Textarea label={t("gate.reason")} required maxLength={1000} autosize minRows={1} value={reason} onChange={(event) => setReason(event.currentTarget.value)} />
      {isConflict(job.problem) ? (
        <div className="problem" role="alert" style={{ display: "block" }}>
          <strong>{t("setting.overtaken", { who: one.changed_by })}</strong>
          <p>{code("standing", one.standing)}: {one.reason}</p>
          <Button variant="default" onClick={take}>{t("gate.seen")}</Button>
        </div>
      ) : <Refused problem={job.problem} />}
      <div><Button type="submit" disabled={!reason.trim() || (standing === "live" && !areGiven({ ...grounds, reason }))} loading={job.busy}>{t("gate.save")}</Button></div>
    </form>
  );
}

function Past({ gateId }: { gateId: number }) {
  const speech = useSpeech();
  const { t } = speech;
  const found = useGateChanges(gateId);
  return (
    <Await query={found}>
      {(items) => items.length === 0 ? <p className="soft">{t("gate.noPast")}</p> : (
        <ul className="stack tight">
          {items.map((one, row) => <li key={row} className="row"><Mark standing={one.standing} /> <span className="soft small">{fullMoment(one.changed_at, speech)} · {one.changed_by}</span> <span>{reasonOf(one, speech)}</span>{one.grounds && <span className="soft small">{speech.known("grounds", one.grounds) ?? ""}{one.backtest_id !== null && ` (${t("bt.name", { n: one.backtest_id })})`}</span>}</li>)}
        </ul>
      )}
    </Await>
  );
}
