// How good predictions were: each is kept and scored against what happened to its machine.
import type { ReactNode } from "react";
import { useLifeModels, usePredictionRecords } from "../api/queries";
import type { PredictionRecord } from "../api/types";
import { useSpeech } from "../i18n";
import { modeName, number, percent, signalName, span } from "../i18n/format";
import { Age } from "../parts/marks";
import { Await, Empty } from "../parts/states";

/** One model on one class: "of 37 predictions 34 held", and how much is still open. */
export function Track({ model, version, assetClass, children }: {
  model: string; version: string; assetClass: string; children?: ReactNode;
}) {
  const { t, code } = useSpeech();
  const records = usePredictionRecords();
  return (
    <section className="panel stack" aria-labelledby="record-title">
      <h2 id="record-title">{t("record.title")}</h2>
      <p>{code("lifeModel", model)} <span className="soft small">{t("record.version", { version })}</span></p>
      <Await query={records}>
        {(page) => <Told one={page.items.find((item) => item.model === model && item.asset_class === assetClass)} />}
      </Await>
      {children}
    </section>
  );
}

function Told({ one }: { one: PredictionRecord | undefined }) {
  const speech = useSpeech();
  const { t } = speech;
  if (!one || one.judged === 0) return <p className="soft">{t("record.none")}</p>;
  return (
    <>
      <p className="lead">{t("record.held", { judged: number(one.judged, speech), held: number(one.held, speech) })}</p>
      <p className="small soft">{t("record.meaning")}</p>
      {one.corrected && <p className="small">{t("record.corrected", { failures: one.failures })}</p>}
    </>
  );
}

/** Models of remaining life that were learnt from this plant's own failures. */
export function LearntModels() {
  const speech = useSpeech();
  const { t, code } = speech;
  const models = useLifeModels();
  return (
    <section className="stack" style={{ marginTop: "1.5rem" }} aria-labelledby="models-title">
      <h2 id="models-title">{t("learnt.title")}</h2>
      <Await query={models}>
        {(items) => items.length === 0 ? <p className="soft">{t("learnt.none")}</p> : (
          <ul className="stack">
            {items.map((one) => (
              <li key={one.life_model_id} className="panel">
                <strong>{code("class", one.asset_class)} · {modeName(one.mode, speech)}</strong>{" "}
                <span className="soft">{t("learnt.from", { n: number(one.lives, speech), number: one.number })} <Age at={one.made_at} /></span>
                <p className="small">{one.signals.map((signal) => signalName({ code: signal }, speech)).join(", ")}</p>
              </li>
            ))}
          </ul>
        )}
      </Await>
    </section>
  );
}

/** Every model on every class, under the list of predictions. */
export function Records() {
  const { t } = useSpeech();
  const records = usePredictionRecords();
  return (
    <section className="stack" style={{ marginTop: "1.5rem" }} aria-labelledby="records-title">
      <h2 id="records-title">{t("record.all")}</h2>
      <p className="soft">{t("record.lead")}</p>
      <Await query={records}>
        {(page) =>
          page.items.length === 0 ? (
            <div className="panel"><Empty title={t("record.empty")} hint={t("record.emptyHint")} /></div>
          ) : (
            <Table items={page.items} />
          )
        }
      </Await>
    </section>
  );
}

function Table({ items }: { items: PredictionRecord[] }) {
  const speech = useSpeech();
  const { t, code } = speech;
  return (
    <div className="scroll">
      <table className="list middle">
        <thead>
          <tr>
            <th scope="col">{t("record.class")}</th>
            <th scope="col">{t("record.model")}</th>
            <th scope="col" className="num">{t("record.judged")}</th>
            <th scope="col" className="num">{t("record.right")}</th>
            <th scope="col" className="num" title={t("record.meaning")}>{t("record.coverage")}</th>
            <th scope="col" className="num" title={t("record.pinballHelp")}>{t("record.pinball")}</th>
            <th scope="col" className="num">{t("record.failures")}</th>
            <th scope="col" className="num">{t("record.found")}</th>
            <th scope="col" className="num">{t("record.waiting")}</th>
          </tr>
        </thead>
        <tbody>
          {items.map((one) => (
            <tr key={`${one.asset_class} ${one.model}`}>
              <td>{one.asset_class}</td>
              <td>{code("lifeModel", one.model)}</td>
              <td className="num">{number(one.judged, speech)}</td>
              <td className="num">{number(one.held, speech)}</td>
              <td className="num">{one.coverage === null ? "–" : percent(one.coverage)}</td>
              <td className="num">{one.pinball_h === null ? "–" : span(one.pinball_h, speech)}</td>
              <td className="num">{number(one.failures, speech)}</td>
              <td className="num">{number(one.found, speech)}</td>
              <td className="num">{number(one.waiting, speech)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
