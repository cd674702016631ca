// What the detectors were good for: their figures by version, and the ledger of avoided downtime with its interval.
import { useState } from "react";
import { Button } from "@mantine/core";
import { ledgerFile, useDetected, useLedger, type Detected, type LedgerLine, type Stretch, type Worth } from "../api/proof";
import { useAssets } from "../api/queries";
import { useSpeech } from "../i18n";
import { chance, fullMoment, modeName, money, number, percent, span as spanWords } from "../i18n/format";
import { ToneMark } from "../parts/marks";
import { Await, Empty } from "../parts/states";
import { ROW } from "./list_keys";

export function DetectorFigures({ span }: { span: Stretch }) {
  const { t } = useSpeech();
  const found = useDetected(span);
  return (
    <section className="stack" aria-label={t("week.detectors")}>
      <h2>{t("week.detectors")}</h2>
      <p className="soft" style={{ margin: 0 }}>{t("week.detectorsLead")}</p>
      <Await query={found}>
        {({ items }) => items.length === 0 ? <div className="panel"><Empty title={t("week.noDetectors")} /></div> : <Versions items={items} />}
      </Await>
    </section>
  );
}

function Versions({ items }: { items: Detected[] }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const [open, setOpen] = useState("");
  const chosen = items.find((one) => keyOf(one) === open);
  return (
    <>
      <div className="scroll">
        <table className="list middle cards">
          <thead>
            <tr>
              <th scope="col">{t("detector.name")}</th>
              <th scope="col" className="num">{t("week.orders")}</th>
              <th scope="col">{t("week.precision")}</th>
              <th scope="col">{t("week.recall")}</th>
              <th scope="col" className="num">{t("week.lead_h")}</th>
              <th scope="col" className="num">{t("week.falseMonth")}</th>
              <th scope="col"><span className="hidden">{t("week.rows")}</span></th>
            </tr>
          </thead>
          <tbody>
            {items.map((one) => (
              <tr key={keyOf(one)}>
                <th scope="row">{code("detectorName", one.detector)} <span className="soft small">{one.version}</span></th>
                <td className="num" data-label={t("week.orders")}>{number(one.orders, speech)}</td>
                <td data-label={t("week.precision")}><Share share={one.precision} of={t("week.rightOf", { n: one.right, all: one.right + one.wrong })} none={t("week.unjudged")} /></td>
                <td data-label={t("week.recall")}><Share share={one.recall} of={t("week.foreseenOf", { n: one.foreseen, all: one.failures })} none={t("week.noFailures")} /></td>
                <td className="num" data-label={t("week.lead_h")}>{one.lead_h === null ? "–" : spanWords(one.lead_h, speech)}</td>
                <td className="num" data-label={t("week.falseMonth")}>{number(one.false_month, speech)}</td>
                <td>
                  <Button size="xs" variant="default" aria-expanded={open === keyOf(one)} onClick={() => setOpen(open === keyOf(one) ? "" : keyOf(one))} aria-label={`${t("week.show")}: ${code("detectorName", one.detector)} ${one.version}`} {...{ [ROW]: "" }}>{t("week.show")}</Button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {chosen && <Behind one={chosen} />}
    </>
  );
}

function keyOf(one: Detected): string {
  return `${one.detector} ${one.version}`;
}

function Share({ share, of, none }: { share: number | null; of: string; none: string }) {
  if (share === null) return <span className="soft">{none}</span>;
  return <span><strong>{percent(share)}</strong> <span className="small soft">{of}</span></span>;
}

function Behind({ one }: { one: Detected }) {
  const { t, code } = useSpeech();
  const name = `${code("detectorName", one.detector)} ${one.version}`;
  return (
    <section className="panel stack tight" aria-label={t("week.rowsOf", { name })}>
      <h3>{t("week.rowsOf", { name })}</h3>
      {one.order_ids.length === 0
        ? <p className="soft">{t("week.noOrders")}</p>
        : <p className="row">{one.order_ids.map((id) => <a key={id} className="tall-link" href={`#/orders/${id}`}>{t("week.order", { n: id })}</a>)}</p>}
      <p className="soft" style={{ margin: 0 }}>{one.missed.length === 0 ? t("week.noneMissed") : t("week.missed", { list: one.missed.map((id) => `#${id}`).join(", ") })}</p>
    </section>
  );
}

export function LedgerPart({ span }: { span: Stretch }) {
  const { t } = useSpeech();
  const found = useLedger(span);
  return (
    <section className="stack" aria-label={t("week.ledger")}>
      <div className="row between"><h2 style={{ margin: 0 }}>{t("week.ledger")}</h2><a className="tall-link" href={ledgerFile(span)} download>{t("week.csv")}</a></div>
      <p className="soft" style={{ margin: 0 }}>{t("week.ledgerLead")}</p>
      <Await query={found}>
        {(data) => data.lines.length === 0 ? <div className="panel"><Empty title={t("week.noLedger")} /></div> : (
          <>
            {Object.entries(data.sums).map(([currency, worth]) => <p key={currency} className="lead" style={{ margin: 0 }}><Saving worth={worth} currency={currency} /></p>)}
            <Lines lines={data.lines} />
          </>
        )}
      </Await>
    </section>
  );
}

function Saving({ worth, currency }: { worth: Worth; currency: string }) {
  const speech = useSpeech();
  const said = (amount: number) => money(amount, currency, speech);
  return <span><strong>{said(worth.expected)}</strong> <span className="small soft">{speech.t("week.interval", { low: said(worth.low), high: said(worth.high) })}</span></span>;
}

function Lines({ lines }: { lines: LedgerLine[] }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const assets = useAssets();
  return (
    <div className="scroll">
      <table className="list cards">
        <thead>
          <tr>
            <th scope="col">{t("week.what")}</th>
            <th scope="col">{t("detector.name")}</th>
            <th scope="col">{t("week.done")}</th>
            <th scope="col" className="num">{t("week.pFail")}</th>
            <th scope="col" className="num">{t("week.loss")}</th>
            <th scope="col" className="num">{t("week.cost")}</th>
            <th scope="col">{t("week.saved")}</th>
            <th scope="col">{t("week.proof")}</th>
          </tr>
        </thead>
        <tbody>
          {lines.map((one) => (
            <tr key={one.ticket_id}>
              <th scope="row">
                <a href={`#/orders/${one.ticket_id}`} {...{ [ROW]: "" }}>{one.ref}</a>
                <div className="soft small">{assets.data?.find((each) => each.asset_id === one.asset_id)?.code ?? `#${one.asset_id}`} · {modeName(one.mode, speech)}</div>
              </th>
              <td data-label={t("detector.name")}><span>{code("detectorName", one.detector)} <span className="soft small">{one.version}</span></span></td>
              <td data-label={t("week.done")}>{fullMoment(one.done_at, speech)}</td>
              <td className="num" data-label={t("week.pFail")} title={one.stop_at ? fullMoment(one.stop_at, speech) : undefined}>{one.made_at === null ? t("week.noForecast") : chance(one.p_fail)}</td>
              <td className="num" data-label={t("week.loss")}>{money(one.loss, one.currency, speech)}</td>
              <td className="num" data-label={t("week.cost")}>{money(one.cost, one.currency, speech)}</td>
              <td data-label={t("week.saved")}>
                <Saving worth={one.worth} currency={one.currency} />
                {one.false && <div><ToneMark tone="watch">{t("week.false")}</ToneMark></div>}
                {one.failed_after && <div><ToneMark tone="watch">{t("week.failedAfter")}</ToneMark></div>}
              </td>
              <td data-label={t("week.proof")}><a href={one.evidence} download aria-label={`${t("week.pack")}: ${one.ref}`}>{t("week.pack")}</a></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
