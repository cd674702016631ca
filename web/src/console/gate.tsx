// Which versions of a detector may open orders: what each has shown, the person who lets it, and the back-tests.
import { useState, type FormEvent, type ReactNode } from "react";
import { Button, NativeSelect, Textarea } from "@mantine/core";
import { call } from "../api/client";
import { refreshGate, useBacktests, useGate, useGateChanges, type Backtest, type Gated, type StandingWord } from "../api/proof";
import type { Me } from "../api/types";
import { useSpeech, type Key, type Speech } from "../i18n";
import { fullMoment, number, span } from "../i18n/format";
import { Head, isConflict, Refused, useJob } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { ROW } from "./list_keys";

const DAYS = ["30", "90", "365"];
const STANDINGS: StandingWord[] = ["live", "review", "shadow"];
/** What the gate itself gives as its reason. */
const OWN_REASONS: Record<string, Key> = {
  "the first version on this site": "gate.firstVersion",
  "a new version of a detector that is known": "gate.newVersion",
};
const DECIDERS = ["manager", "admin"];

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
        <Backtests />
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
  const save = (event: FormEvent) => {
    event.preventDefault();
    void job.run(async () => {
      try {
        await call(`/maintenance/gate/${one.gate_id}/standing`, { method: "PUT", version: seen.row_version, body: { standing, reason: reason.trim() } });
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
      <Textarea label={t("gate.reason")} required maxLength={1000} autosize minRows={1} value={reason} onChange={(event) => setReason(event.currentTarget.value)} />
      {isConflict(job.problem) ? (
        <div className="problem" role="alert" style={{ display: "block" }}>
          <strong>{t("setting.overtaken", { who: one.changed_by })}</strong>
          <p>{code("standing", one.standing)}: {one.reason}</p>
          <Button variant="default" onClick={take}>{t("gate.seen")}</Button>
        </div>
      ) : <Refused problem={job.problem} />}
      <div><Button type="submit" disabled={!reason.trim()} loading={job.busy}>{t("gate.save")}</Button></div>
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
          {items.map((one, row) => <li key={row} className="row"><Mark standing={one.standing} /> <span className="soft small">{fullMoment(one.changed_at, speech)} · {one.changed_by}</span> <span>{reasonOf(one, speech)}</span></li>)}
        </ul>
      )}
    </Await>
  );
}

function Backtests() {
  const { t } = useSpeech();
  const found = useBacktests();
  return (
    <section className="stack" aria-label={t("gate.backtests")}>
      <h2>{t("gate.backtests")}</h2>
      <Await query={found}>
        {(items) => items.length === 0 ? <div className="panel"><Empty title={t("gate.noBacktests")} hint={t("gate.noBacktestsHint")} /></div> : <Runs items={items} />}
      </Await>
    </section>
  );
}

function Runs({ items }: { items: Backtest[] }) {
  const speech = useSpeech();
  const { t } = speech;
  return (
    <div className="scroll">
      <table className="list cards">
        <thead>
          <tr>
            <th scope="col">{t("gate.period")}</th>
            <th scope="col" className="num">{t("gate.btOrders")}</th>
            <th scope="col" className="num">{t("gate.btReal")}</th>
            <th scope="col" className="num">{t("gate.btForeseen")}</th>
            <th scope="col" className="num">{t("gate.lead_h")}</th>
            <th scope="col" className="num">{t("gate.falseMonth")}</th>
            <th scope="col">{t("gate.made")}</th>
          </tr>
        </thead>
        <tbody>
          {items.map(({ result, ...one }) => (
            <tr key={one.backtest_id}>
              <th scope="row">{fullMoment(one.from_at, speech)} – {fullMoment(one.until_at, speech)}</th>
              <td className="num" data-label={t("gate.btOrders")}>{number(result.orders, speech)}</td>
              <td className="num" data-label={t("gate.btReal")}>{number(result.before_real_faults, speech)}</td>
              <td className="num" data-label={t("gate.btForeseen")}>{t("week.foreseenOf", { n: result.failures_foreseen ?? "–", all: result.failures ?? "–" })}</td>
              <td className="num" data-label={t("gate.lead_h")}>{result.lead_h == null ? "–" : span(result.lead_h, speech)}</td>
              <td className="num" data-label={t("gate.falseMonth")}>{number(result.false_month, speech)}</td>
              <td data-label={t("gate.made")}><span>{one.made_by} {fullMoment(one.made_at, speech)} <code className="small soft" title={one.config_hash}>{one.config_hash.slice(0, 8)}</code></span></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
