// Back-tests on the gate's page: one is started, watched and cancelled; what it found is said in words.
import { useState } from "react";
import { Button, NativeSelect, Progress } from "@mantine/core";
import { AS_IT_STANDS, goesOn, refreshBacktests, useBacktests, type Backtest, type Configuration } from "../api/backtests";
import { call } from "../api/client";
import { type Gated } from "../api/proof";
import { useSpeech, type Speech } from "../i18n";
import { fullMoment, number, percent, span } from "../i18n/format";
import { linesOf, Refused, useJob } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";

const DAYS = ["30", "90", "180", "365"];
const DAY_MS = 86_400_000;

export function Backtests({ versions, may }: { versions: Gated[]; may: boolean }) {
  const { t, code } = useSpeech();
  const found = useBacktests();
  const [gate, setGate] = useState("");
  return (
    <section className="stack" aria-label={t("gate.backtests")}>
      <h2>{t("gate.backtests")}</h2>
      {may && (
        <div className="panel stack tight">
          <NativeSelect label={t("bt.what")} value={gate} onChange={(event) => setGate(event.currentTarget.value)} style={{ maxWidth: 480 }}
            data={[{ value: "", label: t("bt.asItStands") }, ...versions.map((one) => ({ value: String(one.gate_id), label: t("bt.asIfLive", { name: `${code("detectorName", one.detector)} ${one.version}` }) }))]} />
          <Run config={{ ...AS_IT_STANDS, gate_id: gate ? Number(gate) : null }} />
        </div>
      )}
      <Await query={found}>
        {(items) => items.length === 0
          ? <div className="panel"><Empty title={t("gate.noBacktests")} hint={t("bt.noneHint")} /></div>
          : <ul className="stack">{items.map((one) => <li key={one.backtest_id}><One one={one} may={may} /></li>)}</ul>}
      </Await>
    </section>
  );
}

/** Asks for a back-test of this configuration. */
export function Run({ config }: { config: Configuration }) {
  const { t } = useSpeech();
  const job = useJob();
  const [days, setDays] = useState("90");
  const start = () => job.run(async () => {
    await call("/maintenance/backtests", { method: "POST", body: { ...config, days: Number(days) } });
    toast(t("bt.started"));
    await refreshBacktests();
  });
  return (
    <div className="stack tight">
      <div className="row" style={{ alignItems: "flex-end" }}>
        <NativeSelect label={t("bt.over")} value={days} data={DAYS.map((value) => ({ value, label: t("week.days", { n: value }) }))} onChange={(event) => setDays(event.currentTarget.value)} />
        <Button variant="default" loading={job.busy} onClick={() => void start()}>{t("bt.start")}</Button>
      </div>
      <Refused problem={job.problem} />
    </div>
  );
}

function One({ one, may }: { one: Backtest; may: boolean }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const job = useJob();
  const cancel = () => job.run(async () => {
    try {
      await call(`/maintenance/backtests/${one.backtest_id}/cancel`, { method: "POST", body: {} });
    } finally {
      await refreshBacktests();
    }
  });
  const name = t("bt.name", { n: one.backtest_id });
  return (
    <section className="panel stack tight" aria-label={name}>
      <div className="row between"><h3 style={{ margin: 0 }}>{name}: {judged(one, speech)}</h3><span className="chip">{code("btState", one.state)}</span></div>
      {goesOn(one) && <Going one={one} />}
      {one.state === "done" && <p>{inWords(one, speech)}</p>}
      {one.state === "failed" && <p role="status">▲ {one.why}</p>}
      <p className="small soft" style={{ margin: 0 }}>{t("bt.madeBy", { who: one.made_by, when: fullMoment(one.made_at, speech) })} <code title={one.config_hash}>{one.config_hash.slice(0, 8)}</code></p>
      <Refused problem={job.problem} />
      {may && goesOn(one) && <div className="row"><Button size="xs" variant="default" loading={job.busy} aria-label={`${t("bt.cancel")}: ${name}`} onClick={() => void cancel()}>{t("bt.cancel")}</Button></div>}
    </section>
  );
}

export function Going({ one }: { one: Backtest }) {
  const speech = useSpeech();
  const { t } = speech;
  return (
    <div className="stack tight" role="status">
      <Progress value={100 * one.progress} aria-label={t("bt.progress")} />
      <span className="small soft">{one.state === "waiting" ? t("bt.waits") : t("bt.at", { share: percent(one.progress), when: one.reached_at ? fullMoment(one.reached_at, speech) : "–" })}</span>
    </div>
  );
}

/** What a person decides by. */
export function inWords(one: Backtest, speech: Speech): string {
  const { orders, before_real_faults, lead_h, false_month, failures, failures_foreseen } = one.result ?? {};
  const days = (Date.parse(one.until_at) - Date.parse(one.from_at)) / DAY_MS;
  const found = speech.t("bt.found", {
    days: number(days, speech), until: fullMoment(one.until_at, speech), orders: number(orders, speech), real: number(before_real_faults, speech),
    lead: lead_h == null ? "–" : span(lead_h, speech), false: number(false_month, speech),
  });
  return failures ? `${found} ${speech.t("bt.foreseen", { n: number(failures_foreseen, speech), all: number(failures, speech) })}` : found;
}

function judged(one: Backtest, speech: Speech): string {
  const { settings = {}, scope, lets = [] } = one.config;
  const where = scope ? [scope.asset_class, scope.mode].filter((part) => part !== "*").concat(scope.asset_id === null ? [] : [`#${scope.asset_id}`]) : [];
  const said = Object.entries(linesOf(settings, speech)).map(([name, value]) => `${name} ${value}`);
  const parts = [...lets.map((name) => speech.t("bt.asIfLive", { name })), ...(said.length > 0 ? [[...where, said.join(", ")].join(" · ")] : [])];
  return parts.join("; ") || speech.t("bt.asItStands");
}
