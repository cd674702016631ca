// A sparkline without a chart library: the phone shows a dozen of them before any chart is loaded.
import type { Series } from "../api/types";

const WIDTH = 200;
const HEIGHT = 36;

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

/** Whether the newest value lies outside the band a detector expects. Null: nobody knows. */
export function outside(series: Series | undefined): boolean | null {
  const bands = series?.bands;
  const value = series?.value.findLast((one) => one !== null);
  const low = bands?.low.findLast((one) => one !== null);
  const high = bands?.high.findLast((one) => one !== null);
  if (value === undefined || value === null || low === undefined || low === null || high === undefined || high === null) {
    return null;
  }
  return value < low || value > high;
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
