// System: is every part running, how far behind is it, how much comes in, and what was set aside.
import { clockFactor } from "../api/clock";
import { useSystem } from "../api/queries";
import type { SystemReport } from "../api/types";
import { useSpeech, type Speech } from "../i18n";
import { moment, number, span } from "../i18n/format";
import { Age, ToneMark, type Tone } from "../parts/marks";
import { Await } from "../parts/states";

const LAG_WARN_S = 10;
const SILENT_S = 60;
const JUDGED_S = 120; // plant seconds: a row of the detectors' grid and the next
const WELL = new Set(["running"]);
const SHOWN_APART = new Set(["parts", "lag_s", "detector_lag_s", "rates", "quarantine"]);

export default function System() {
  const { t } = useSpeech();
  const report = useSystem();
  return (
    <>
      <div className="page-head"><h1>{t("system.title")}</h1></div>
      <Await query={report}>{(data) => <Report data={data} />}</Await>
    </>
  );
}

function Report({ data }: { data: SystemReport }) {
  const speech = useSpeech();
  const { t } = speech;
  const rate = data.rates.reduce((sum, one) => sum + one.samples_s, 0);
  const held = Object.values(data.quarantine).reduce((sum, count) => sum + count, 0);
  return (
    <div className="stack" style={{ gap: 16 }}>
      <div className="tiles" style={{ margin: 0 }}>
        <Lag name={t("system.lag")} hint={t("system.lagHint")} seconds={data.lag_s} most={LAG_WARN_S * Math.max(1, clockFactor())} />
        <Lag name={t("system.judgementLag")} hint={t("system.judgementLagHint")} seconds={data.detector_lag_s ?? null} most={JUDGED_S + LAG_WARN_S * Math.max(1, clockFactor())} />
        <div className="tile">
          <div className="name">{t("system.rate")}</div>
          <div className="value">{number(rate, speech)}</div>
          <div className="small soft">{t("system.rateUnit")}</div>
        </div>
        <div className="tile">
          <div className="name">{t("system.quarantined")}</div>
          <div className="value"><a href="#/quarantine">{number(held, speech)}</a></div>
          <div className="small soft">{t("system.quarantineUnit")}</div>
        </div>
      </div>
      <section><h2 style={{ marginBottom: 8 }}>{t("system.parts")}</h2><Parts data={data} /></section>
      <section><h2 style={{ marginBottom: 8 }}>{t("system.sources")}</h2><Sources data={data} /></section>
      <Facts data={data} />
    </div>
  );
}

function Lag({ name, hint, seconds, most }: { name: string; hint: string; seconds: number | null; most: number }) {
  const speech = useSpeech();
  const words = seconds === null ? "–" : span(seconds / 3600, speech);
  const late = seconds !== null && seconds > most;
  return (
    <div className={`tile ${late ? "watch" : ""}`}>
      <div className="name">{name}</div>
      <div className="value">{late ? <ToneMark tone="watch">{words}</ToneMark> : words}</div>
      <div className="small soft">{hint}</div>
    </div>
  );
}

function Parts({ data }: { data: SystemReport }) {
  const speech = useSpeech();
  const { t, code, say } = speech;
  const now = Date.now();
  const tone = (state: string): Tone => (WELL.has(state) ? "calm" : state === "starting" || state === "waiting" ? "watch" : "alarm");
  return (
    <div className="scroll">
      <table className="list middle">
        <thead>
          <tr><th scope="col">{t("system.part")}</th><th scope="col">{t("system.partState")}</th><th scope="col">{t("system.detail")}</th></tr>
        </thead>
        <tbody>
          {data.parts.map((part) => (
            <tr key={part.name}>
              <td><strong>{code("partName", part.name)}</strong></td>
              <td><ToneMark tone={tone(part.state)}>{code("part", part.state)}</ToneMark></td>
              <td className="soft">
                {say(part.detail)} {part.restarts ? t("system.restarts", { n: part.restarts }) : ""} {part.since && t("system.since", { time: moment(part.since, now, speech) })}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Sources({ data }: { data: SystemReport }) {
  const speech = useSpeech();
  const { t } = speech;
  if (data.rates.length === 0) return <p className="soft">{t("system.noSources")}</p>;
  return (
    <div className="scroll">
      <table className="list middle">
        <thead>
          <tr>
            <th scope="col">{t("system.source")}</th>
            <th scope="col" className="num">{t("system.rate")} ({t("system.rateUnit")})</th>
            <th scope="col">{t("system.lastSeen")}</th>
            <th scope="col" className="num">{t("system.lag")}</th>
          </tr>
        </thead>
        <tbody>
          {data.rates.map((one) => (
            <tr key={one.source}>
              <td><strong>{one.source}</strong></td>
              <td className="num">{number(one.samples_s, speech)}</td>
              <td><Age at={one.last_seen} staleS={SILENT_S} time="wall" /></td>
              <td className="num">{one.lag_s === null || one.lag_s === undefined ? "–" : span(one.lag_s / 3600, speech)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Whatever else the API reports, as it names it: a new fact needs no new release of the web app. */
function Facts({ data }: { data: SystemReport }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const facts = Object.entries(data).filter(([name, value]) => !SHOWN_APART.has(name) && value !== null && value !== undefined);
  if (facts.length === 0) return null;
  return (
    <section className="panel">
      <h2>{t("system.facts")}</h2>
      <dl className="facts">
        {facts.map(([name, value]) => (
          <div key={name} style={{ display: "contents" }}>
            <dt>{code("fact", name)}</dt>
            <dd>{factText(value, speech)}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function factText(value: unknown, speech: Speech): string {
  if (typeof value === "number") return number(value, speech);
  if (typeof value !== "object" || value === null) return String(value);
  const pairs = Object.entries(value).map(([name, one]) => `${speech.code("status", name)}: ${factText(one, speech)}`);
  return pairs.join(" · ");
}
