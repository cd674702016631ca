// A sparkline without a chart library: the phone shows a dozen of them before any chart is loaded.
import type { Series } from "../api/types";

const WIDTH = 200;
const HEIGHT = 36;
const JUDGED_BANDS = 3;
const EXPIRED_BANDS = 8;

export function Spark({ series, out = false }: { series: Series | undefined; out?: boolean }) {
  const shape = series ? trace(series) : null;
  if (!shape) return <svg className="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true" />;
  return (
    <svg
      className={`spark ${out ? "out" : ""}`} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true"
    >
      {shape.band && <polygon className="band" points={shape.band} />}
      <polyline points={shape.line} />
    </svg>
  );
}

/**
 * Whether the signal has left the band that a detector expects of it. Each band is compared with the value of its own
 * time (a later value may belong to another load), and a lone excursion is no news. Null: nobody knows.
 */
export function outside(series: Series | undefined): boolean | null {
  const bands = series?.bands;
  if (!series || !bands || bands.at.length === 0 || expired(series, bands.at)) return null;
  const sides: number[] = [];
  for (let row = bands.at.length - 1; row >= 0 && sides.length < JUDGED_BANDS; row -= 1) {
    const [low, high, value] = [bands.low[row] ?? null, bands.high[row] ?? null, valueAt(series, bands.at[row]!)];
    if (low !== null && high !== null && value !== null) sides.push(value < low ? -1 : value > high ? 1 : 0);
  }
  if (sides.length === 0) return null;
  return sides[0] !== 0 && sides.every((side) => side === sides[0]);
}

/** Nobody judges this signal any more: its newest values are several bands younger than the last band. */
function expired(series: Series, times: number[]): boolean {
  const last = times.at(-1)!;
  const pace = times.length > 1 ? last - times.at(-2)! : 0;
  return pace > 0 && (series.at.at(-1) ?? last) - last > EXPIRED_BANDS * pace;
}

/** The value at a time: of the last point not after it, or of the first point when the series begins a little later. */
function valueAt(series: Series, at: number): number | null {
  const row = series.at.findLastIndex((one) => one <= at);
  return series.value[Math.max(row, 0)] ?? null;
}

function trace(series: Series): { line: string; band: string | null } | null {
  const points = series.at.map((at, row) => [at, series.value[row] ?? null] as const).filter(([, value]) => value !== null);
  if (points.length < 2) return null;
  const start = points[0]![0];
  const end = points.at(-1)![0];
  const bands = series.bands;
  const inside = bands ? bands.at.map((at, row) => ({ at, low: bands.low[row] ?? null, high: bands.high[row] ?? null }))
    .filter((one) => one.at >= start && one.at <= end && one.low !== null && one.high !== null) : [];
  const all = [...points.map(([, value]) => value as number), ...inside.flatMap((one) => [one.low!, one.high!])];
  const bottom = Math.min(...all);
  const top = Math.max(...all);
  const x = (at: number) => (((at - start) / (end - start || 1)) * WIDTH).toFixed(1);
  const y = (value: number) => (HEIGHT - 3 - ((value - bottom) / (top - bottom || 1)) * (HEIGHT - 6)).toFixed(1);
  const line = points.map(([at, value]) => `${x(at)},${y(value as number)}`).join(" ");
  const upper = inside.map((one) => `${x(one.at)},${y(one.high!)}`);
  const lower = inside.map((one) => `${x(one.at)},${y(one.low!)}`).reverse();
  return { line, band: inside.length > 1 ? [...upper, ...lower].join(" ") : null };
}
