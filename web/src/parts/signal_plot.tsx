// One signal with its plot; the chart library is loaded only when a plot is really shown.
import { lazy, Suspense, useState } from "react";
import { SegmentedControl } from "@mantine/core";
import { clockFactor, plantNow } from "../api/clock";
import { useSeries } from "../api/queries";
import type { Signal } from "../api/types";
import { useSpeech } from "../i18n";
import { quantity, signalName } from "../i18n/format";
import { Age, ToneMark } from "./marks";
import type { Moment } from "./plot";
import { outside } from "./spark";
import { Await } from "./states";

const Plot = lazy(() => import("./plot"));

export const RANGES = { "1h": 3600, "6h": 21_600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000 } as const;
export type Range = keyof typeof RANGES;

/** The shortest range that still shows the moment of detection with some history before it. */
export function rangeFor(detectedAt: string | null | undefined): Range {
  if (!detectedAt) return "6h";
  const needed = ((plantNow() - Date.parse(detectedAt)) / 1000) * 1.4;
  const ranges = Object.entries(RANGES) as [Range, number][];
  return ranges.find(([, seconds]) => seconds >= needed && seconds > 3600)?.[0] ?? "30d";
}

export function RangeChoice({ range, setRange }: { range: Range; setRange: (range: Range) => void }) {
  const { t } = useSpeech();
  const choices = (Object.keys(RANGES) as Range[]).map((value) => ({ value, label: t(`plot.${value}`) }));
  return (
    <SegmentedControl
      size="xs" aria-label={t("plot.range")} value={range} data={choices} onChange={(value) => setRange(value as Range)}
    />
  );
}

export function SignalPlot({ signal, range, moments, height = 240 }: {
  signal: Signal; range: Range; moments: Moment[]; height?: number;
}) {
  const speech = useSpeech();
  const series = useSeries(signal.signal_id, RANGES[range]);
  const name = signalName(signal, speech);
  const bone = <div className="bone" style={{ height: height + 24 }} />;
  return (
    <section aria-label={name}>
      <div className="row between" style={{ marginBottom: 4 }}>
        <h3>{name}</h3>
        <span className="row">
          {outside(series.data) === true && <ToneMark tone="alarm">{speech.t("plot.outside")}</ToneMark>}
          <span className="strong">{signal.latest ? quantity(signal.latest.value, signal.unit, speech) : "–"}</span>
          <span className="small soft"><Age at={signal.latest?.at} staleS={staleAfter(signal)} /></span>
        </span>
      </div>
      <Await query={series} bones={bone}>
        {(data) => (
          <Suspense fallback={bone}>
            <Plot signal={signal} series={data} moments={moments} height={height} />
          </Suspense>
        )}
      </Await>
    </section>
  );
}

/** The plots of one machine's signals under one choice of time range. */
export function SignalPlots({ signals, moments, detectedAt, height }: {
  signals: Signal[]; moments: Moment[]; detectedAt?: string | null; height?: number;
}) {
  const [range, setRange] = useState<Range>(() => rangeFor(detectedAt));
  return (
    <div className="stack" style={{ gap: 20 }}>
      <div><RangeChoice range={range} setRange={setRange} /></div>
      {signals.map((signal) => (
        <SignalPlot key={signal.signal_id} signal={signal} range={range} moments={moments} height={height} />
      ))}
    </div>
  );
}

/** A signal is stale when it missed several of its periods; what is only our own asking (every 5 s) does not count. */
export function staleAfter(signal: Signal): number {
  return Math.max(30, signal.period_s * 5) + 15 * clockFactor();
}
