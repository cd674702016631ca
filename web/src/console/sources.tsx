// Sources: does every sender send, in time and whole? What is in want comes first; all that is well stays grey.
import { useState } from "react";
import { Button } from "@mantine/core";
import { clockFactor } from "../api/clock";
import { useBalance, usePipeline } from "../api/queries";
import type { Account, PipelineReport, SourceHealth } from "../api/types";
import { useSpeech, type Key, type Speech } from "../i18n";
import { number, percent, span } from "../i18n/format";
import { Age, ToneMark, type Tone } from "../parts/marks";
import { Await, Empty } from "../parts/states";

const LATE_MS = 60_000; // late for so long is worth saying
const LAG_S = 10;
const SPOOL_WATCH = 0.5;
const SPOOL_ALARM = 0.8;
const REPORT_STALE_S = 60;
const SEEN_STALE_S = 60;
const WHY: Record<string, Key> = { broker: "sources.broker", ingest: "sources.ingest" };
const DOWN = new Set(["lost", "silent", "misconfigured"]);

export default function Sources() {
  const { t } = useSpeech();
  const report = usePipeline();
  return (
    <>
      <div className="page-head"><div><h1>{t("sources.title")}</h1><p>{t("sources.lead")}</p></div></div>
      <Await query={report}>{(data) => <Report data={data} />}</Await>
    </>
  );
}

function Report({ data }: { data: PipelineReport }) {
  const { t } = useSpeech();
  if (data.sources.length === 0) return <div className="panel"><Empty title={t("sources.empty")} hint={t("sources.emptyHint")} /></div>;
  const now = Date.parse(data.at);
  const rows = [...data.sources].sort((a, b) => rank(b, now) - rank(a, now) || a.source.localeCompare(b.source));
  return (
    <div className="stack" style={{ gap: 16 }}>
      <Tiles data={data} now={now} />
      {data.many && <Many many={data.many} />}
      <Table rows={rows} now={now} />
      <Balance />
    </div>
  );
}

function Tiles({ data, now }: { data: PipelineReport; now: number }) {
  const speech = useSpeech();
  const { t } = speech;
  const wanting = data.sources.filter((one) => rank(one, now) > 0).length;
  const rate = data.sources.reduce((sum, one) => sum + one.samples_s, 0);
  const lags = data.sources.filter((one) => one.samples_s > 0).map((one) => one.lag_s ?? 0);
  const lag = lags.length ? Math.max(...lags) : null;
  const late = lag !== null && lag > LAG_S * Math.max(1, clockFactor());
  const waiting = data.sources.reduce((sum, one) => sum + (one.gateway?.waiting ?? 0), 0);
  const lagWords = lag === null ? "–" : span(lag / 3600, speech);
  return (
    <div className="tiles" style={{ margin: 0 }}>
      <div className={`tile ${wanting ? "watch" : ""}`}>
        <div className="name">{t("sources.wanting")}</div>
        <div className="value">{wanting ? <ToneMark tone="watch">{number(wanting, speech)}</ToneMark> : number(0, speech)}</div>
        <div className="small soft">{t("sources.of", { n: data.sources.length })}</div>
      </div>
      <div className="tile">
        <div className="name">{t("system.rate")}</div>
        <div className="value">{number(rate, speech)}</div>
        <div className="small soft">{t("system.rateUnit")}</div>
      </div>
      <div className={`tile ${late ? "watch" : ""}`}>
        <div className="name">{t("system.lag")}</div>
        <div className="value">{late ? <ToneMark tone="watch">{lagWords}</ToneMark> : lagWords}</div>
        <div className="small soft">{t("sources.lagHint")}</div>
      </div>
      <div className="tile">
        <div className="name">{t("sources.waitingName")}</div>
        <div className="value">{number(waiting, speech)}</div>
        <div className="small soft">{t("sources.waitingUnit")}</div>
      </div>
    </div>
  );
}

function Many({ many }: { many: NonNullable<PipelineReport["many"]> }) {
  const { t } = useSpeech();
  return (
    <div className="panel" role="status">
      <ToneMark tone="alarm">{t(WHY[many.why] ?? "sources.many", { n: many.count })}</ToneMark>{" "}
      <Age at={many.since} time="wall" /> <OrderLink id={many.ticket_id} name={many.ticket_ref} />
    </div>
  );
}

function Table({ rows, now }: { rows: SourceHealth[]; now: number }) {
  const { t } = useSpeech();
  return (
    <div className="scroll">
      <table className="list middle cards">
        <thead>
          <tr>
            <th scope="col">{t("system.source")}</th>
            <th scope="col">{t("sources.state")}</th>
            <th scope="col" className="num">{t("system.rate")}</th>
            <th scope="col">{t("system.lastSeen")}</th>
            <th scope="col" className="num">{t("system.lag")}</th>
            <th scope="col">{t("sources.want")}</th>
          </tr>
        </thead>
        <tbody>{rows.map((one) => <Row key={one.source} one={one} now={now} />)}</tbody>
      </table>
    </div>
  );
}

function Row({ one, now }: { one: SourceHealth; now: number }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const late = isLate(one, now);
  const lag = one.lag_s === null ? "–" : one.lag_s < 1 ? t("sources.under", { span: span(1 / 3600, speech) }) : span(one.lag_s / 3600, speech);
  return (
    <tr>
      <th scope="row">
        <strong>{one.source}</strong>
        <div className="small soft">{code("sourceKind", one.kind)} · {t("sources.tags", { n: one.tags })}</div>
      </th>
      <td data-label={t("sources.state")}>
        <div>
          <ToneMark tone={tone(one.state)}>{code("sourceState", one.state)}</ToneMark> <OrderLink id={one.ticket_id} name={one.ticket_ref} />
          {one.detail && <div className="small soft">{one.detail}</div>}
        </div>
      </td>
      <td data-label={t("system.rate")} className="num"><span>{number(one.samples_s, speech)} <span className="soft">{t("sources.perSecond")}</span></span></td>
      <td data-label={t("system.lastSeen")}>
        <div>
          <Age at={one.last_seen} staleS={staleAfter(one)} time="wall" />
          {one.expected_s !== null && <div className="small soft">{t("sources.every", { span: seconds(one.expected_s, speech) })}</div>}
        </div>
      </td>
      <td data-label={t("system.lag")} className="num">{late ? <ToneMark tone="watch">{t("sources.late", { span: lag })}</ToneMark> : lag}</td>
      <td data-label={t("sources.want")}><Wants one={one} /></td>
    </tr>
  );
}

/** What is wrong with the data themselves; a dash when nothing is. */
function Wants({ one }: { one: SourceHealth }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const n = (value: number) => ({ n: number(value, speech) });
  const wants: [Tone, string][] = [];
  if (one.missing) wants.push(["watch", t("sources.missing", n(one.missing))]);
  if (one.gaps) wants.push(["watch", t("sources.gaps", n(one.gaps))]);
  if (one.dropped) wants.push(["watch", t("sources.dropped", n(one.dropped))]);
  if (one.denied) wants.push(["watch", t("sources.denied", n(one.denied))]);
  if (one.held) wants.push(["calm", t("sources.held", n(one.held))]);
  const gateway = one.gateway;
  if (gateway?.refused) wants.push(["watch", t("sources.refused", n(gateway.refused))]);
  const behind = gateway?.sources.filter((each) => DOWN.has(each.state)) ?? [];
  for (const each of behind) wants.push(["watch", `${each.name}: ${code("sourceState", each.state)}`]);
  if (wants.length === 0 && !gateway) return <span className="soft">–</span>;
  return (
    <ul className="plain-list">
      {wants.map(([shade, text]) => <li key={text}><ToneMark tone={shade}>{text}</ToneMark></li>)}
      {gateway && (
        <li>
          <ToneMark tone={gateway.share_full >= SPOOL_ALARM ? "alarm" : gateway.share_full >= SPOOL_WATCH ? "watch" : "calm"}>
            {t("sources.spool", { share: percent(gateway.share_full), n: number(gateway.waiting, speech) })}
          </ToneMark>{" "}
          <span className="small soft"><Age at={gateway.told_at} staleS={REPORT_STALE_S} time="wall" /></span>
        </li>
      )}
    </ul>
  );
}

function Balance() {
  const { t } = useSpeech();
  const [asked, ask] = useState(false);
  const balance = useBalance(asked);
  return (
    <section className="panel">
      <h2>{t("sources.balance")}</h2>
      <p className="soft" style={{ marginBottom: 12 }}>{t("sources.balanceLead")}</p>
      <Button variant="default" style={{ minHeight: 48 }} loading={balance.isFetching} onClick={() => (asked ? void balance.refetch() : ask(true))}>
        {t("sources.check")}
      </Button>
      {asked && <Await query={balance}>{(found) => <Accounts rows={found.items} />}</Await>}
    </section>
  );
}

function Accounts({ rows }: { rows: Account[] }) {
  const speech = useSpeech();
  const { t } = speech;
  const bad = rows.filter((row) => !row.balances);
  const sent = rows.reduce((sum, row) => sum + row.sent, 0);
  return (
    <div role="status" style={{ marginTop: 12 }}>
      {bad.length === 0 ? (
        <ToneMark tone="calm">{t("sources.adds", { n: number(sent, speech) })}</ToneMark>
      ) : (
        <ul className="plain-list">
          {bad.map((row) => (
            <li key={row.source}>
              <ToneMark tone="watch">
                {row.difference === 0
                  ? t("sources.holes", { source: row.source })
                  : t("sources.addsNot", { source: row.source, n: number(row.difference, speech), sent: number(row.sent, speech) })}
              </ToneMark>
              {row.missing.map((hole) => (
                <div key={`${hole.epoch}.${hole.low}`} className="small soft">
                  {t("sources.hole", { low: number(hole.low, speech), high: number(hole.high, speech), epoch: hole.epoch })}
                </div>
              ))}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function OrderLink({ id, name }: { id: number | null; name: string | null }) {
  return id === null ? null : <a className="tall-link" href={`#/orders/${id}`}>{name}</a>;
}

function tone(state: string): Tone {
  if (DOWN.has(state)) return "alarm";
  return state === "new" ? "stale" : "calm";
}

/** How much a source wants looking at: 0 = not at all. */
function rank(one: SourceHealth, now: number): number {
  if (DOWN.has(one.state)) return 3;
  if (isLate(one, now) || (one.gateway?.share_full ?? 0) >= SPOOL_WATCH) return 2;
  return one.missing || one.gaps || one.dropped || one.denied ? 1 : 0;
}

function isLate(one: SourceHealth, now: number): boolean {
  return one.lagging_since !== null && now - Date.parse(one.lagging_since) > LATE_MS;
}

function staleAfter(one: SourceHealth): number {
  return one.expected_s === null ? SEEN_STALE_S : Math.max(5, 2 * one.expected_s);
}

function seconds(value: number, speech: Speech): string {
  return value < 10 ? speech.t("span.s", { n: number(value, speech) }) : span(value / 3600, speech);
}
