// One prediction, opened on the plot that convinced the detector.
import { useAlarm, useAsset, usePredictions } from "../api/queries";
import type { Asset, Prediction } from "../api/types";
import { useNow } from "../api/clock";
import { useSpeech } from "../i18n";
import { chance, money, percent, span } from "../i18n/format";
import { Age, Criticality, HealthLight } from "../parts/marks";
import type { Moment } from "../parts/plot";
import { CostCurve } from "../parts/cost_curve";
import { SignalPlots } from "../parts/signal_plot";
import { Await, Bones, Empty } from "../parts/states";
import { middle, remaining, urgency, When } from "../parts/when";
import { Contributions } from "../parts/why";
import { RecordFailure } from "./prediction_failed";
import { Track } from "./prediction_record";
import { OrderCell } from "./predictions";

const PLOTTED = 3;

/** Addressed by its alarm: forecasts replace one another while the alarm lasts. */
export default function PredictionPage({ alarmId }: { alarmId: number }) {
  const { t } = useSpeech();
  const list = usePredictions();
  return (
    <>
      <p className="crumb"><a href="#/predictions">← {t("prediction.title")}</a></p>
      <Await query={list}>
        {(page) => {
          const one = page.items.find((item) => item.alarm_id === alarmId);
          return one ? <Detail one={one} /> : <Gone alarmId={alarmId} />;
        }}
      </Await>
    </>
  );
}

/** The alarm has cleared since: say so, and lead on to its machine and its order. */
function Gone({ alarmId }: { alarmId: number }) {
  const { t } = useSpeech();
  const alarm = useAlarm(alarmId, true).data;
  return (
    <div className="panel">
      <h1 className="hidden">{t("prediction.gone")}</h1>
      <Empty title={t("prediction.gone")} hint={t("prediction.goneHint")}>
        {alarm?.asset && <a href={`#/assets/${alarm.asset.asset_id}`}>{alarm.asset.code} {alarm.asset.name}</a>}
        {alarm?.ticket && <a href={`#/orders/${alarm.ticket.ticket_id}`}>{alarm.ticket.ref}</a>}
      </Empty>
    </div>
  );
}

function Detail({ one }: { one: Prediction }) {
  const speech = useSpeech();
  const { t, say, code } = speech;
  const asset = useAsset(one.asset.asset_id);
  const left = remaining(one, useNow());
  const tone = urgency(left, one.ticket);
  return (
    <>
      <div className="page-head">
        <div>
          <h1>{one.asset.code} {one.asset.name}: {say(one.mode.name)}</h1>
          <p>{t("prediction.madeAt")} <Age at={one.made_at} /></p>
        </div>
        <a href={`#/assets/${one.asset.asset_id}`}>{t("prediction.toAsset")}</a>
      </div>
      <div className="tiles">
        <div className={`tile ${tone === "calm" ? "" : tone}`} style={{ gridColumn: "span 2" }}>
          <div className="name">{t("prediction.when")}</div>
          {left ? <div className="hidden">{middle(left, speech)}</div> : null}
          <When prediction={one} axis />
        </div>
        <Tile name={t("prediction.sure")} value={chance(one.p_fail_horizon)} hint={t("prediction.within", { span: span(one.horizon_h, speech) })} />
        <Tile
          name={t("prediction.costFailure")} value={one.cost ? money(one.cost.failure, one.cost.currency, speech) : "–"}
          hint={one.cost ? `${t("prediction.costPlanned")} ${money(one.cost.planned, one.cost.currency, speech)}` : ""}
        />
        <div className="tile">
          <div className="name">{t("criticality.label")}</div>
          <div className="value"><Criticality value={one.asset.criticality} /></div>
          {one.health !== null && <div className="small soft">{t("prediction.health")} {percent(one.health)}</div>}
        </div>
        <div className="tile">
          <div className="name">{t("prediction.order")}</div>
          <OrderCell one={one} />
        </div>
      </div>
      <div className="split">
        <div>
          <section className="panel">
            <h2>{t("order.plot")}</h2>
            <Await query={asset} bones={<Bones rows={2} height={240} />}>{(data) => <Plots one={one} asset={data} />}</Await>
          </section>
          <CostCurve predictionId={one.prediction_id} />
        </div>
        <div>
          <section className="panel stack">
            <h2>{t("prediction.why")}</h2>
            <p className="lead">{say(one.sentence)}</p>
            <h3>{t("prediction.contributions")}</h3>
            <Contributions items={one.contributions} signals={asset.data?.signals} />
          </section>
          {one.decision && (
            <section className="panel stack">
              <h2>{t("prediction.decision")}: {code("decision", one.decision.action)}</h2>
              <ul className="stack tight">{one.decision.reasons.map((reason, row) => <li key={row}>{say(reason)}</li>)}</ul>
            </section>
          )}
          {asset.data && one.p50_h !== null && (
            <Track model={one.model} version={one.version} assetClass={asset.data.asset_class}>
              <RecordFailure one={one} />
            </Track>
          )}
          {asset.data && (
            <section className="panel row between">
              <HealthLight health={asset.data.health} />
              <span className="small soft"><Age at={asset.data.last_seen} staleS={asset.data.health === "stale" ? 0 : undefined} /></span>
            </section>
          )}
        </div>
      </div>
    </>
  );
}

function Plots({ one, asset }: { one: Prediction; asset: Asset }) {
  const { t } = useSpeech();
  const ids = [...one.contributions].sort((a, b) => b.share - a.share).map((signal) => signal.signal_id);
  const chosen = ids.map((id) => asset.signals.find((signal) => signal.signal_id === id)).filter((signal) => signal !== undefined);
  const signals = (chosen.length ? chosen : asset.signals.filter((signal) => signal.role === "measured")).slice(0, PLOTTED);
  const alarm = asset.alarms.find((item) => item.alarm_id === one.alarm_id);
  const detectedAt = one.detected_at ?? alarm?.detected_at ?? alarm?.started_at ?? one.made_at;
  const moments: Moment[] = [{ atMs: Date.parse(detectedAt), label: t("plot.detected"), tone: "alarm" }];
  return <SignalPlots signals={signals} moments={moments} detectedAt={detectedAt} />;
}

function Tile({ name, value, hint }: { name: string; value: string; hint: string }) {
  return (
    <div className="tile">
      <div className="name">{name}</div>
      <div className="value">{value}</div>
      <div className="small soft">{hint}</div>
    </div>
  );
}
