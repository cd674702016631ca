// Precision per detector: how often the people who went there found what it had said.
import { Fragment } from "react";
import { useDetectors } from "../api/queries";
import type { DetectorReport, Me } from "../api/types";
import { useSpeech } from "../i18n";
import { modeName, number, percent } from "../i18n/format";
import { VERDICTS } from "../parts/fields";
import { ToneMark } from "../parts/marks";
import { Await, Empty } from "../parts/states";

const POOR = 0.5;
const GATE_READERS = ["planner", "manager", "admin"];
const ENOUGH = 5; // verdicts before a low precision is worth colour

export default function Detectors({ me }: { me: Me }) {
  const { t } = useSpeech();
  const reports = useDetectors();
  return (
    <>
      <div className="page-head"><div><h1>{t("detector.title")}</h1><p>{t("detector.lead")}</p></div><div className="row"><a className="tall-link" href="#/detectors/rules">{t("ar.title")}</a>{GATE_READERS.includes(me.role) && <a className="tall-link" href="#/detectors/gate">{t("gate.title")}</a>}<a className="tall-link" href="#/detectors/verdicts">{t("judged.title")}</a></div></div>
      <Await query={reports}>
        {(items) =>
          items.length === 0 ? (
            <div className="panel"><Empty title={t("detector.empty")} hint={t("detector.emptyHint")} /></div>
          ) : (
            <Table items={items} />
          )
        }
      </Await>
    </>
  );
}

function Table({ items }: { items: DetectorReport[] }) {
  const speech = useSpeech();
  const { t, code } = speech;
  return (
    <div className="scroll">
      <table className="list middle">
        <thead>
          <tr>
            <th scope="col">{t("detector.name")}</th>
            <th scope="col">{t("detector.asset")}</th>
            <th scope="col" className="num">{t("detector.findings")}</th>
            <th scope="col" className="num">{t("detector.orders")}</th>
            <th scope="col">{t("detector.precision")}</th>
            <th scope="col" className="num">{t("detector.confirmed")}</th>
            <th scope="col" className="num">{t("detector.other")}</th>
            <th scope="col" className="num">{t("detector.nothing")}</th>
            <th scope="col" className="num">{t("detector.sensor")}</th>
          </tr>
        </thead>
        <tbody>
          {items.map((one) => (
            <Fragment key={one.detector}>
              <tr>
                <td><strong>{code("detectorName", one.detector)}</strong> <span className="soft small">{one.version}</span></td>
                <td className="soft">{t("detector.allAssets")}</td>
                <td className="num">{number(one.findings, speech)}</td>
                <td className="num">{number(one.orders, speech)}</td>
                <Judged one={one} />
              </tr>
              {one.by_asset.map((part) => (
                <tr key={`${part.asset_id} ${part.mode}`}>
                  <td />
                  <td>
                    <a href={`#/assets/${part.asset_id}`}>{part.asset_code}</a>{" "}
                    {part.mode && <span className="soft">{modeName(part.mode, speech)}</span>}
                  </td>
                  <td /><td />
                  <Judged one={part} />
                </tr>
              ))}
            </Fragment>
          ))}
        </tbody>
      </table>
    </div>
  );
}

type Judgement = Pick<DetectorReport, "verdicts" | "precision" | "judged" | "right" | "interval">;

function Judged({ one }: { one: Judgement }) {
  const speech = useSpeech();
  return (
    <>
      <td><Precision one={one} /></td>
      {VERDICTS.map((name) => <td key={name} className="num">{number(one.verdicts[name] ?? 0, speech)}</td>)}
    </>
  );
}

function Precision({ one }: { one: Judgement }) {
  const { t } = useSpeech();
  const all = one.judged;
  if (one.precision === null || all === 0) return <span className="soft">{t("detector.noVerdicts")}</span>;
  const poor = one.precision < POOR && all >= ENOUGH;
  const words = percent(one.precision);
  return (
    <div style={{ width: 190 }}>
      <div className="row between nowrap">
        {poor ? <ToneMark tone="watch">{words}</ToneMark> : <strong>{words}</strong>}
        <span className="small soft">{t("detector.of", { hits: one.right, all })}</span>
      </div>
      <div className="meter" aria-hidden="true"><i style={{ width: `${one.precision * 100}%` }} /></div>
      <span className="small soft">{t("detector.between", { low: percent(one.interval.low), high: percent(one.interval.high) })}</span>
    </div>
  );
}
