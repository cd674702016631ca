// The plot that convinced the detector: measured values, the band it expected, and the moment it was sure.
import { useEffect, useMemo, useRef, useState } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { useNow } from "../api/clock";
import type { Series, Signal } from "../api/types";
import { useSpeech, type Speech } from "../i18n";
import { age, fullMoment, quantity, signalName, unitLabel } from "../i18n/format";
import { outside } from "./spark";
import { useScheme } from "./theme";

export type Moment = { atMs: number; label: string; tone: "alarm" | "calm" };
type Props = { signal: Signal; series: Series; moments: Moment[]; height?: number };
type Columns = [number[], ...(number | null)[][]];

// The measured line is drawn last, so that no band can cover it.
const LOW = 1;
const HIGH = 2;
const MEASURED = 4;

export default function Plot({ signal, series, moments, height = 240 }: Props) {
  const speech = useSpeech();
  const scheme = useScheme();
  const box = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const [cursor, setCursor] = useState<number | null>(null);
  const data = useMemo(() => columns(series), [series]);
  const drawn = useRef({ data, moments, signal });
  drawn.current = { data, moments, signal };

  useEffect(() => {
    const host = box.current;
    if (!host) return;
    const options = settings(host.clientWidth, height, speech, () => drawn.current, setCursor);
    chart.current = new uPlot(options, drawn.current.data as uPlot.AlignedData, host);
    const watch = new ResizeObserver(() => chart.current?.setSize({ width: host.clientWidth, height }));
    watch.observe(host);
    return () => {
      watch.disconnect();
      chart.current?.destroy();
      chart.current = null;
    };
  }, [speech, scheme, height]);

  const marks = moments.map((one) => `${one.atMs} ${one.label}`).join();
  useEffect(() => chart.current?.setData(data as uPlot.AlignedData), [data, marks]);

  const empty = !data[MEASURED]!.some((value) => value !== null);
  return (
    <figure style={{ margin: 0 }}>
      <div ref={box} className="plot" style={{ minHeight: height }} role="img" aria-label={useDescription(signal, series, data, speech)}>
        {empty && <div className="empty">{speech.t("plot.empty")}</div>}
      </div>
      <Legend data={data} cursor={cursor} signal={signal} speech={speech} moments={moments} />
    </figure>
  );
}

function Legend({ data, cursor, signal, speech, moments }: {
  data: Columns; cursor: number | null; signal: Signal; speech: Speech; moments: Moment[];
}) {
  const row = cursor ?? lastRow(data, MEASURED);
  const limits = cursor ?? lastRow(data, LOW);
  const show = (column: number, at: number) => quantity(data[column]?.[at] ?? null, signal.unit, speech);
  const band = data[LOW]?.[limits] ?? null;
  return (
    <figcaption className="legend">
      <span><i />{speech.t("plot.measured")} <b>{show(MEASURED, row)}</b></span>
      {data[LOW]!.some((value) => value !== null) && (
        <span>
          <i className="band" />{speech.t("plot.band")}
          {band !== null && <b>{speech.t("prediction.range", { low: show(LOW, limits), high: show(HIGH, limits) })}</b>}
        </span>
      )}
      {moments.map((one) => (
        <span key={one.label + one.atMs}>
          <i className="detected" style={one.tone === "calm" ? { borderColor: "var(--mark)" } : undefined} />
          {one.label} {fullMoment(one.atMs, speech)}
        </span>
      ))}
      {cursor !== null && data[0][cursor] !== undefined && <span>{fullMoment(data[0][cursor] * 1000, speech)}</span>}
    </figcaption>
  );
}

function useDescription(signal: Signal, series: Series, data: Columns, speech: Speech): string {
  const now = useNow();
  const row = lastRow(data, MEASURED);
  const value = data[MEASURED]?.[row] ?? null;
  const limits = lastRow(data, LOW);
  const [low, high] = [data[LOW]?.[limits] ?? null, data[HIGH]?.[limits] ?? null];
  const words = {
    name: signalName(signal, speech),
    value: quantity(value, signal.unit, speech),
    age: data[0][row] === undefined ? speech.t("age.never") : age(data[0][row] * 1000, now, speech),
  };
  if (low === null || high === null || value === null) return speech.t("plot.describeBare", words);
  return speech.t("plot.describe", {
    ...words,
    low: quantity(low, signal.unit, speech),
    high: quantity(high, signal.unit, speech),
    verdict: speech.t(outside(series) ? "plot.outside" : "plot.inside"),
  });
}

/** Bands come on a coarser grid of their own; between two of them the limits are drawn straight, beyond them not at all. */
function columns(series: Series): Columns {
  const bands = series.bands;
  const low: (number | null)[] = [];
  const high: (number | null)[] = [];
  const expected: (number | null)[] = [];
  let next = 0;
  for (const at of series.at) {
    while (bands && next < bands.at.length && bands.at[next]! <= at) next += 1;
    const left = next - 1;
    const right = bands?.at[left] === at ? left : next;
    low.push(between(bands?.at, bands?.low, left, right, at));
    high.push(between(bands?.at, bands?.high, left, right, at));
    expected.push(between(bands?.at, bands?.expected, left, right, at));
  }
  return [series.at.map((ms) => ms / 1000), low, high, expected, series.value];
}

function between(
  times: number[] | undefined, values: (number | null)[] | undefined, left: number, right: number, at: number,
): number | null {
  const [from, to] = [values?.[left] ?? null, values?.[right] ?? null];
  if (from === null || to === null) return null;
  const span = times![right]! - times![left]!;
  return span > 0 ? from + ((to - from) * (at - times![left]!)) / span : from;
}

function settings(
  width: number, height: number, speech: Speech,
  current: () => { data: Columns; moments: Moment[]; signal: Signal }, setCursor: (row: number | null) => void,
): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: colour("--soft"),
    font: `12px ${colour("--mw-font")}`,
    grid: { stroke: colour("--plot-grid"), width: 1 },
    ticks: { stroke: colour("--plot-grid"), width: 1 },
  };
  const unit = unitLabel(current().signal.unit, speech);
  return {
    width,
    height,
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { size: 7 } },
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), speech.zone),
    scales: { x: { time: true } },
    axes: [
      { ...axis, size: 34, space: 80, values: ticks(speech) },
      { ...axis, size: 64, label: unit || undefined, labelSize: 18, labelFont: axis.font },
    ],
    series: [
      {},
      { stroke: "transparent", points: { show: false }, spanGaps: true },
      { stroke: "transparent", points: { show: false }, spanGaps: true },
      { stroke: colour("--mark"), width: 1, dash: [5, 4], points: { show: false }, spanGaps: true },
      { stroke: colour("--plot-line"), width: 1.5, points: { show: false } },
    ],
    bands: [{ series: [HIGH, LOW], fill: colour("--plot-band") }],
    hooks: {
      setCursor: [(plot) => setCursor(plot.cursor.idx ?? null)],
      draw: [(plot) => annotate(plot, current(), colour, speech)],
    },
  };
}

/** Times of day in the plant's zone and the reader's language; the date where a day begins. */
function ticks(speech: Speech) {
  const options = { timeZone: speech.zone, hourCycle: "h23" } as const;
  const locale = speech.language === "zh" ? "zh-CN" : "en-GB";
  const hour = new Intl.DateTimeFormat(locale, { ...options, hour: "2-digit", minute: "2-digit" });
  const second = new Intl.DateTimeFormat(locale, { ...options, hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const date = new Intl.DateTimeFormat(locale, { ...options, day: "numeric", month: "short" });
  return (_: uPlot, splits: number[], __: number, ___: number, step: number) =>
    splits.map((at) => {
      const time = at * 1000;
      if (step >= 86_400 || hour.format(time) === "00:00") return date.format(time);
      return (step < 60 ? second : hour).format(time);
    });
}

function annotate(
  plot: uPlot, { moments, signal }: { moments: Moment[]; signal: Signal },
  colour: (name: string) => string, speech: Speech,
): void {
  const { ctx } = plot;
  const ratio = devicePixelRatio || 1;
  const { left, top, width, height } = plot.bbox;
  ctx.save();
  ctx.setLineDash([]);
  ctx.lineWidth = 2 * ratio;
  ctx.font = `600 ${12 * ratio}px ${colour("--mw-font")}`;
  for (const one of moments) {
    const x = plot.valToPos(one.atMs / 1000, "x", true);
    if (x < left || x > left + width) continue;
    ctx.strokeStyle = ctx.fillStyle = colour(one.tone === "alarm" ? "--alarm" : "--mark");
    ctx.beginPath();
    ctx.moveTo(x, top);
    ctx.lineTo(x, top + height);
    ctx.stroke();
    const near = x > left + width * 0.8;
    ctx.textAlign = near ? "right" : "left";
    ctx.fillText(one.label, x + (near ? -6 : 6) * ratio, top + 14 * ratio);
  }
  ctx.lineWidth = ratio;
  ctx.setLineDash([2 * ratio, 4 * ratio]);
  ctx.strokeStyle = ctx.fillStyle = colour("--soft");
  ctx.textAlign = "left";
  for (const limit of [signal.low, signal.high]) {
    if (limit === null) continue;
    const y = plot.valToPos(limit, "y", true);
    if (y < top || y > top + height) continue;
    ctx.beginPath();
    ctx.moveTo(left, y);
    ctx.lineTo(left + width, y);
    ctx.stroke();
    ctx.fillText(speech.t("plot.limits"), left + 6 * ratio, y + (limit === signal.low ? -5 : 14) * ratio);
  }
  ctx.restore();
}

function lastRow(data: Columns, column: number): number {
  return data[column]!.findLastIndex((value) => value !== null);
}
