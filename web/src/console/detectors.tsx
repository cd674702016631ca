// Precision per detector: how often the people who went there found what it had said.
import { useDetectors } from "../api/queries";
import type { DetectorReport } from "../api/types";
import { useSpeech } from "../i18n";
import { number, percent } from "../i18n/format";
import { ToneMark } from "../parts/marks";
import { Await, Empty } from "../parts/states";

const POOR = 0.5;
const ENOUGH = 5; // verdicts before a low precision is worth colour

export default function Detectors() {
  const { t } = useSpeech();
  const reports = useDetectors();
  return (
    <>
      <div className="page-head"><div><h1>{t("detector.title")}</h1><p>{t("detector.lead")}</p></div></div>
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
            <th scope="col">{t("detector.version")}</th>
            <th scope="col">{t("detector.asset")}</th>
            <th scope="col">{t("detector.precision")}</th>
            <th scope="col" className="num">{t("detector.confirmed")}</th>
            <th scope="col" className="num">{t("detector.other")}</th>
            <th scope="col" className="num">{t("detector.nothing")}</th>
            <th scope="col" className="num">{t("detector.sensor")}</th>
          </tr>
        </thead>
        <tbody>
          {items.map((one) => (
            <tr key={`${one.detector} ${one.version} ${one.asset?.asset_id ?? one.asset_id ?? ""}`}>
              <td><strong>{code("detectorName", one.detector)}</strong></td>
              <td className="soft">{one.version}</td>
              <td>{one.asset ? `${one.asset.code} ${one.asset.name}` : <span className="soft">{t("detector.allAssets")}</span>}</td>
              <td><Precision one={one} /></td>
              {["confirmed", "other_fault", "nothing_found", "sensor"].map((name) => (
                <td key={name} className="num">{number(one.verdicts[name] ?? 0, speech)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Precision({ one }: { one: DetectorReport }) {
  const { t } = useSpeech();
  const all = Object.values(one.verdicts).reduce((sum, count) => sum + count, 0);
  if (one.precision === null || all === 0) return <span className="soft">{t("detector.noVerdicts")}</span>;
  const poor = one.precision < POOR && all >= ENOUGH;
  const words = percent(one.precision);
  return (
    <div style={{ width: 190 }}>
      <div className="row between nowrap">
        {poor ? <ToneMark tone="watch">{words}</ToneMark> : <strong>{words}</strong>}
        <span className="small soft">{t("detector.of", { hits: one.verdicts.confirmed ?? 0, all })}</span>
      </div>
      <div className="meter" aria-hidden="true"><i style={{ width: `${one.precision * 100}%` }} /></div>
    </div>
  );
}
