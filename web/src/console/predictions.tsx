// Predicted failures, ranked by risk: what, when, how sure and why before a click.
import { usePredictions } from "../api/queries";
import type { Prediction } from "../api/types";
import { useSpeech } from "../i18n";
import { chance, money, number, percent, signalName, span } from "../i18n/format";
import { Age, Criticality, StatusChip } from "../parts/marks";
import { Await, Empty } from "../parts/states";
import { When } from "../parts/when";
import { Arrow } from "../parts/why";
import { go } from "../router";
import { ROW } from "./list_keys";
import { LearntModels, Records } from "./prediction_record";

const SHOWN_SIGNALS = 3;

export default function Predictions() {
  const { t } = useSpeech();
  const query = usePredictions();
  return (
    <>
      <div className="page-head">
        <div>
          <h1>{t("prediction.title")}</h1>
          <p>{t("prediction.lead")}</p>
        </div>
        {query.data && <span className="soft">{t("prediction.count", { n: query.data.items.length })}</span>}
      </div>
      <Await query={query}>
        {(page) =>
          page.items.length === 0 ? (
            <div className="panel"><Empty title={t("prediction.empty")} hint={t("prediction.emptyHint")} /></div>
          ) : (
            <Table items={page.items} />
          )
        }
      </Await>
      <Records />
      <LearntModels />
    </>
  );
}

function Table({ items }: { items: Prediction[] }) {
  const { t } = useSpeech();
  const most = Math.max(...items.map((one) => one.risk), 1e-9);
  return (
    <div className="scroll">
      <table className="list predictions">
        <thead>
          <tr>
            <th scope="col">{t("prediction.risk")}</th>
            <th scope="col">{t("prediction.what")}</th>
            <th scope="col" title={t("prediction.whenHelp")}>{t("prediction.when")}</th>
            <th scope="col">{t("prediction.sure")}</th>
            <th scope="col">{t("prediction.why")}</th>
            <th scope="col">{t("criticality.label")}</th>
            <th scope="col" className="num">{t("prediction.cost")}</th>
            <th scope="col">{t("prediction.order")}</th>
          </tr>
        </thead>
        <tbody>{items.map((one) => <Row key={one.alarm_id} one={one} most={most} />)}</tbody>
      </table>
    </div>
  );
}

function Row({ one, most }: { one: Prediction; most: number }) {
  const speech = useSpeech();
  const { t, say } = speech;
  const to = `/predictions/${one.alarm_id}`;
  return (
    <tr className="link" onClick={(event) => !(event.target as HTMLElement).closest("a,button") && go(to)}>
      <td>
        <div className="risk">
          <b>{one.cost ? money(one.risk, one.cost.currency, speech) : number(one.risk, speech)}</b>
          <div className="meter" aria-hidden="true"><i style={{ width: `${(one.risk / most) * 100}%` }} /></div>
        </div>
      </td>
      <td className="what">
        <a className="title" href={`#${to}`} {...{ [ROW]: "" }}>{say(one.mode.name)}</a>
        <div>{one.asset.code} <span className="soft">{one.asset.name}</span></div>
        <div className="small soft nowrap">{t("prediction.madeAt")} <Age at={one.made_at} /></div>
      </td>
      <td className="when"><When prediction={one} /></td>
      <td className="sure nowrap">
        <b>{chance(one.p_fail_horizon)}</b>
        <div className="small soft">{t("prediction.within", { span: span(one.horizon_h, speech) })}</div>
      </td>
      <td className="why">
        {say(one.sentence)}
        <div className="contrib">
          {[...one.contributions].sort((a, b) => b.share - a.share).slice(0, SHOWN_SIGNALS).map((signal) => (
            <span key={signal.signal_id} className="chip">
              {signalName(signal, speech)} <Arrow direction={signal.direction} /> {percent(signal.share)}
            </span>
          ))}
        </div>
      </td>
      <td><Criticality value={one.asset.criticality} /></td>
      <td className="num"><Cost one={one} /></td>
      <td className="order"><OrderCell one={one} /></td>
    </tr>
  );
}

export function Cost({ one }: { one: Prediction }) {
  const speech = useSpeech();
  if (!one.cost) return <span className="soft">–</span>;
  return (
    <>
      <div><span className="strong">{money(one.cost.failure, one.cost.currency, speech)}</span></div>
      <div className="small soft">{speech.t("prediction.costFailure")}</div>
      <div className="small soft">{money(one.cost.planned, one.cost.currency, speech)} {speech.t("prediction.costPlanned")}</div>
    </>
  );
}

export function OrderCell({ one }: { one: Prediction }) {
  const { t, code, say } = useSpeech();
  if (one.ticket) {
    return (
      <div className="stack tight">
        <a href={`#/orders/${one.ticket.ticket_id}`} className="nowrap">{one.ticket.ref}</a>
        <span><StatusChip status={one.ticket.status} /></span>
      </div>
    );
  }
  return (
    <div className="stack tight">
      <span className="strong">{t("prediction.noOrder")}</span>
      {one.decision && (
        <span className="small soft">
          {code("decision", one.decision.action)}{one.decision.reasons[0] ? `: ${say(one.decision.reasons[0])}` : ""}
        </span>
      )}
    </div>
  );
}
