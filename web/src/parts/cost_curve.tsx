// What every moment would cost: the curve, the production windows, and now, window and wait beside each other.
import { useCurve, type Curve, type CurvePoint } from "../api/review";
import { plantNow } from "../api/clock";
import { useSpeech } from "../i18n";
import { chance, money, moment, span } from "../i18n/format";
import { Bones } from "./states";

const WIDTH = 640;
const HEIGHT = 220;
const PAD = { left: 64, right: 12, top: 12, bottom: 28 };
const TICKS = 4;

/** The best moment of a prediction; nothing where there was no forecast to weigh. */
export function CostCurve({ predictionId }: { predictionId: number }) {
  const { t } = useSpeech();
  const query = useCurve(predictionId);
  if (query.isPending) return <section className="panel"><h2>{t("rv.moment")}</h2><Bones rows={1} height={HEIGHT} /></section>;
  if (!query.data) return null;
  return <Drawn curve={query.data} />;
}

function Drawn({ curve }: { curve: Curve }) {
  const { t, say } = useSpeech();
  return (
    <section className="panel stack" aria-label={t("rv.moment")}>
      <h2>{t("rv.moment")}</h2>
      <ul className="stack tight">{curve.reasons.map((reason, row) => <li key={row}>{say(reason)}</li>)}</ul>
      <Plot curve={curve} />
      <Compared curve={curve} />
    </section>
  );
}

function Plot({ curve }: { curve: Curve }) {
  const speech = useSpeech();
  const { t } = speech;
  const last = curve.points.at(-1)?.hours ?? 1;
  const first = Math.min(0, curve.points[0]?.hours ?? 0);
  const lowest = Math.min(...curve.points.map((one) => one.total));
  const top = Math.min(Math.max(...curve.points.map((one) => one.total)), Math.max(4 * lowest, 1.2 * (curve.points[0]?.total ?? 0))) || 1;
  const x = (hours: number) => PAD.left + ((hours - first) / Math.max(last - first, 1e-9)) * (WIDTH - PAD.left - PAD.right);
  const y = (cost: number) => HEIGHT - PAD.bottom - (Math.min(cost, top) / top) * (HEIGHT - PAD.top - PAD.bottom);
  const line = (value: (one: CurvePoint) => number) => curve.points.map((one, row) => `${row ? "L" : "M"}${x(one.hours).toFixed(1)} ${y(value(one)).toFixed(1)}`).join("");
  const hours = (at: string) => (Date.parse(at) - Date.parse(curve.at)) / 3_600_000;
  const marks = Array.from({ length: TICKS + 1 }, (_, row) => row / TICKS);
  return (
    <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} style={{ width: "100%", height: "auto", maxHeight: 320 }} role="img" aria-label={t("rv.curveLabel", { when: moment(curve.start_at, plantNow(), speech), cost: money(curve.chosen.total, curve.currency, speech) })}>
      {curve.windows.map((one) => {
        const from = x(Math.max(hours(one.start_at), first));
        return <rect key={one.start_at} x={from} y={PAD.top} width={Math.max(x(Math.min(hours(one.end_at), last)) - from, 1)} height={HEIGHT - PAD.top - PAD.bottom} fill="var(--accent-soft)" />;
      })}
      {marks.map((share) => (
        <g key={share}>
          <line x1={PAD.left} x2={WIDTH - PAD.right} y1={y(share * top)} y2={y(share * top)} stroke="var(--plot-grid)" />
          <text x={PAD.left - 6} y={y(share * top) + 4} textAnchor="end" fontSize="11" fill="var(--soft)">{money(share * top, curve.currency, speech)}</text>
          <text x={x(first + share * (last - first))} y={HEIGHT - 8} textAnchor={share === 1 ? "end" : share ? "middle" : "start"} fontSize="11" fill="var(--soft)">{span(first + share * (last - first), speech)}</text>
        </g>
      ))}
      <path d={line((one) => one.failure)} fill="none" stroke="var(--alarm)" strokeWidth="1.5" strokeDasharray="5 4" />
      <path d={line((one) => one.total)} fill="none" stroke="var(--plot-line)" strokeWidth="2" />
      <line x1={x(curve.chosen.hours)} x2={x(curve.chosen.hours)} y1={PAD.top} y2={HEIGHT - PAD.bottom} stroke="var(--accent)" strokeWidth="1.5" />
      <circle cx={x(curve.chosen.hours)} cy={y(curve.chosen.total)} r="5" fill="var(--accent)" />
    </svg>
  );
}

function Compared({ curve }: { curve: Curve }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const cost = (amount: number) => money(amount, curve.currency, speech);
  return (
    <>
      <p className="small soft">{t("rv.legend")}</p>
      <div className="scroll" tabIndex={0} role="region" aria-label={t("rv.compared")}>
        <table className="list">
          <thead>
            <tr>
              <th scope="col">{t("rv.alternative")}</th><th scope="col">{t("rv.begin")}</th>
              <th scope="col" className="num">{t("rv.total")}</th><th scope="col" className="num">{t("rv.failsBefore")}</th>
              <th scope="col" className="num">{t("rv.failure")}</th><th scope="col" className="num">{t("rv.work")}</th>
              <th scope="col" className="num">{t("rv.stopping")}</th><th scope="col" className="num">{t("rv.travelParts")}</th>
              <th scope="col" className="num">{t("rv.life")}</th>
            </tr>
          </thead>
          <tbody>
            {curve.alternatives.map((one) => (
              <tr key={one.what}>
                <th scope="row">{code("rvWhat", one.what)} {one.chosen && <span className="chip accent">{t("rv.chosen")}</span>}</th>
                <td className="nowrap">{moment(one.start_at, plantNow(), speech)}</td>
                <td className="num"><b>{cost(one.total)}</b></td><td className="num">{chance(one.p_fail)}</td>
                <td className="num">{cost(one.failure)}</td><td className="num">{cost(one.work)}</td>
                <td className="num">{cost(one.stopping)}</td><td className="num">{cost(one.travel + one.parts)}</td>
                <td className="num">{cost(one.life)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
