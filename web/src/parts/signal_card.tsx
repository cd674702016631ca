// One signal on a card: value with unit, its last hour, and how old the value is.
import { useSeries } from "../api/queries";
import type { Signal } from "../api/types";
import { useSpeech, type Speech } from "../i18n";
import { quantity, signalName } from "../i18n/format";
import { Age, ToneMark } from "./marks";
import { staleAfter } from "./signal_plot";
import { outside, Spark } from "./spark";

const HOUR_S = 3600;
const POINTS = 120;

export function SignalCard({ signal, chosen, onClick }: { signal: Signal; chosen: boolean; onClick: () => void }) {
  const { t } = useSpeech();
  return (
    <button className="signal" aria-pressed={chosen} onClick={onClick}>
      <SignalFace signal={signal} />
      <span className="hidden">{t("asset.lastHour")}</span>
    </button>
  );
}

export function SignalFace({ signal }: { signal: Signal }) {
  const speech = useSpeech();
  const series = useSeries(signal.signal_id, HOUR_S, POINTS);
  const out = outside(series.data) === true;
  return (
    <>
      <span className="name"><span>{signalName(signal, speech)}</span><span>{speech.code("role", signal.role)}</span></span>
      <span className="row between">
        <span className="value">{shown(signal, speech)}</span>
        {out && <ToneMark tone="alarm">{speech.t("plot.outside")}</ToneMark>}
        {signal.latest && signal.latest.quality !== "good" && (
          <ToneMark tone="stale">{speech.t(`quality.${signal.latest.quality}`)}</ToneMark>
        )}
      </span>
      <Spark series={series.data} out={out} />
      <span className="small soft"><Age at={signal.latest?.at} staleS={staleAfter(signal)} /></span>
    </>
  );
}

/** A state is told by its word, everything else by its number and unit. */
export function shown(signal: Signal, speech: Speech): string {
  if (!signal.latest || signal.latest.value === null) return "–";
  if (signal.role === "state") return speech.code("machine", Math.round(signal.latest.value));
  return quantity(signal.latest.value, signal.unit, speech);
}
