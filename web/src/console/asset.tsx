// One machine: its alarms and predictions, and every signal with its last hour, unit and age.
import { Button } from "@mantine/core";
import { call } from "../api/client";
import { plantNow, useNow } from "../api/clock";
import { queryClient, useAsset, useTickets } from "../api/queries";
import type { Alarm, Asset } from "../api/types";
import { useSpeech } from "../i18n";
import { moment } from "../i18n/format";
import { Age, Criticality, HealthLight, ToneMark } from "../parts/marks";
import type { Moment } from "../parts/plot";
import { SignalCard } from "../parts/signal_card";
import { SignalPlots } from "../parts/signal_plot";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";
import { When } from "../parts/when";
import { go } from "../router";
import { CarePanel } from "./asset_care";
import { MorePanel } from "./asset_more";
import { Table } from "./orders";

const SHELVE_MS = 8 * 3600_000;

export default function AssetPage({ assetId, signalId }: { assetId: number; signalId: number | null }) {
  const { t } = useSpeech();
  const asset = useAsset(assetId);
  return (
    <>
      <p className="crumb"><a href="#/assets">← {t("asset.title")}</a></p>
      <Await query={asset}>{(data) => <Detail asset={data} signalId={signalId} />}</Await>
    </>
  );
}

function Detail({ asset, signalId }: { asset: Asset; signalId: number | null }) {
  const { t, code } = useSpeech();
  const tickets = useTickets({ asset_id: asset.asset_id, open: true });
  const active = asset.alarms.filter((one) => one.state !== "cleared");
  return (
    <>
      <div className="page-head">
        <div>
          <h1>{asset.code} {asset.name}</h1>
          <p className="row">
            <HealthLight health={asset.health} /> <span>{asset.asset_class ? <a href={`#/assets/classes/${asset.asset_class}`}>{code("class", asset.asset_class)}</a> : code("level", asset.level)}</span>
            <span>{asset.location}</span> <Criticality value={asset.criticality} />
            <span>{t("asset.lastSeen")}: <Age at={asset.last_seen} staleS={asset.health === "stale" ? 0 : undefined} /></span>
          </p>
        </div>
      </div>
      <div className="stack" style={{ gap: 16 }}>
        {active.length > 0 && <section className="panel"><h2>{t("asset.alarms")}</h2><Alarms alarms={active} /></section>}
        {asset.predictions.length > 0 && <Predictions asset={asset} />}
        <Signals asset={asset} signalId={signalId} alarms={active} />
        <CarePanel assetId={asset.asset_id} />
        <MorePanel assetId={asset.asset_id} />
        {tickets.data && tickets.data.items.length > 0 && (
          <section><h2 style={{ marginBottom: 8 }}>{t("asset.openOrders")}</h2><Table items={tickets.data.items} /></section>
        )}
      </div>
    </>
  );
}

function Signals({ asset, signalId, alarms }: { asset: Asset; signalId: number | null; alarms: Alarm[] }) {
  const { t } = useSpeech();
  const first = alarms[0]?.contributions?.[0]?.signal_id ?? asset.predictions[0]?.contributions[0]?.signal_id;
  const chosen =
    asset.signals.find((one) => one.signal_id === (signalId ?? first)) ??
    asset.signals.find((one) => one.role === "measured") ?? asset.signals[0];
  if (!chosen) return <div className="panel"><Empty title={t("asset.noSignals")} /></div>;
  const moments: Moment[] = alarms.map((one) => ({
    atMs: Date.parse(one.detected_at ?? one.started_at), label: t("plot.detected"), tone: "alarm",
  }));
  return (
    <section className="stack">
      <div className="panel">
        <SignalPlots key={chosen.signal_id} signals={[chosen]} moments={moments} detectedAt={alarms[0]?.detected_at ?? alarms[0]?.started_at} height={280} />
      </div>
      <h2>{t("asset.signals")}</h2>
      <div className="signals">
        {asset.signals.map((signal) => (
          <SignalCard
            key={signal.signal_id} signal={signal} chosen={signal.signal_id === chosen.signal_id}
            onClick={() => go(`/assets/${asset.asset_id}?signal=${signal.signal_id}`, "replace")}
          />
        ))}
      </div>
    </section>
  );
}

function Predictions({ asset }: { asset: Asset }) {
  const { t, say } = useSpeech();
  return (
    <section className="panel">
      <h2>{t("asset.predictions")}</h2>
      <ul className="stack">
        {asset.predictions.map((one) => (
          <li key={one.alarm_id} style={{ display: "grid", gridTemplateColumns: "minmax(0, 1fr) 260px", gap: 16 }}>
            <div>
              <a className="strong" href={`#/predictions/${one.alarm_id}`}>{say(one.mode.name)}</a>
              <p>{say(one.sentence)}</p>
            </div>
            <When prediction={one} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function Alarms({ alarms }: { alarms: Alarm[] }) {
  const speech = useSpeech();
  const { t, say, code } = speech;
  const now = useNow();
  const act = async (alarm: Alarm, verb: "acknowledge" | "shelve") => {
    const until = new Date(plantNow() + SHELVE_MS).toISOString();
    const body = verb === "shelve" ? { until, reason: t("alarm.shelveReason") } : {};
    try {
      await call(`/alarms/${alarm.alarm_id}/${verb}`, { method: "POST", body });
      await queryClient.invalidateQueries({ queryKey: ["asset"] });
    } catch (error) {
      toast(error instanceof Error ? error.message : t("state.failed"));
    }
  };
  return (
    <ul className="stack">
      {alarms.map((one) => (
        <li key={one.alarm_id} className="row between">
          <div>
            <div className="row">
              <ToneMark tone={one.state === "active" ? "alarm" : "watch"}>{code("alarm", one.state)}</ToneMark>
              {one.mode && <strong>{say(one.mode.name)}</strong>}
              <span className="soft small">{t("alarm.since", { time: moment(one.started_at, now, speech) })}</span>
              {one.ticket && <a href={`#/orders/${one.ticket.ticket_id}`}>{one.ticket.ref}</a>}
            </div>
            {one.sentence && <p>{say(one.sentence)}</p>}
          </div>
          <div className="row">
            {one.state === "active" && <Button variant="default" size="xs" onClick={() => void act(one, "acknowledge")}>{t("alarm.acknowledge")}</Button>}
            {one.state !== "shelved" && <Button variant="default" size="xs" onClick={() => void act(one, "shelve")}>{t("alarm.shelve")}</Button>}
          </div>
        </li>
      ))}
    </ul>
  );
}
