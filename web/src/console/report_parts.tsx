// How a report is drawn: a table, a number, bars or a line; every number with its unit, every drawing with its words.
import type { Measure, Report } from "../api/lists";
import { useSpeech, type Key, type Speech } from "../i18n";
import { number } from "../i18n/format";

export type Chart = "table" | "number" | "bar" | "line";
type Row = (string | number | null)[];

export function Drawn({ report, chart }: { report: Report; chart: Chart }) {
  const { t } = useSpeech();
  if (chart === "number") return <Numbers report={report} />;
  if (report.rows.length === 0) return <p className="soft">{t("report.empty")}</p>;
  if (report.dimensions.length === 2 && report.measures.length === 1) return <Pivot report={report} />;
  if (chart === "line" && report.dimensions.length === 1) return <Line report={report} />;
  return <Rows report={report} bars={chart === "bar"} />;
}

export function figure(value: string | number | null | undefined, measure: Measure, speech: Speech): string {
  if (typeof value !== "number") return "–";
  if (measure.unit === "share") return `${number(value * 100, speech)} %`;
  const unit = speech.known("reportUnit", measure.unit) ?? measure.unit;
  return `${number(value, speech)} ${unit}`.trim();
}

function group(value: string | number | null | undefined, dimension: string, speech: Speech): string {
  if (value === null || value === undefined) return speech.t("report.none");
  if (value === "true" || value === "false") return speech.t(value === "true" ? "find.yes" : "find.no");
  return speech.known(dimension === "failure_code" ? "mode" : dimension, String(value)) ?? String(value);
}

function Numbers({ report }: { report: Report }) {
  const speech = useSpeech();
  return (
    <div className="row wrap">
      {report.measures.map((measure, at) => (
        <div key={measure.name} className="big-number">
          <b>{figure(report.totals[at], measure, speech)}</b>
          <div className="small soft">{speech.say(measure.label)}</div>
        </div>
      ))}
    </div>
  );
}

function Rows({ report, bars }: { report: Report; bars: boolean }) {
  const speech = useSpeech();
  const { dimensions, measures } = report;
  const first = dimensions.length;
  const most = Math.max(...report.rows.map((row) => Math.abs(Number(row[first] ?? 0))), 1e-9);
  return (
    <div className="scroll">
      <table className="list">
        <thead>
          <tr>
            {dimensions.map((each) => <th key={each.name} scope="col">{speech.say(each.label)}</th>)}
            {measures.map((each) => <th key={each.name} scope="col" className="num">{speech.say(each.label)}</th>)}
          </tr>
        </thead>
        <tbody>
          {report.rows.map((row, at) => (
            <tr key={at}>
              {dimensions.map((each, place) => <td key={each.name}>{group(row[place], each.name, speech)}</td>)}
              {measures.map((each, place) => (
                <td key={each.name} className="num">
                  {bars && place === 0 && <span className="bar" style={{ width: `${(100 * Math.abs(Number(row[first] ?? 0))) / most}px` }} aria-hidden="true" />}
                  {figure(row[first + place], each, speech)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
        {dimensions.length > 0 && (
          <tfoot>
            <tr>
              <th scope="row" colSpan={dimensions.length}>{speech.t("report.total")}</th>
              {measures.map((each, at) => <td key={each.name} className="num"><b>{figure(report.totals[at], each, speech)}</b></td>)}
            </tr>
          </tfoot>
        )}
      </table>
      {report.cut > 0 && <p className="small soft">{speech.t("report.cut", { n: report.cut })}</p>}
    </div>
  );
}

function Pivot({ report }: { report: Report }) {
  const speech = useSpeech();
  const [down, across] = report.dimensions;
  const measure = report.measures[0];
  if (!down || !across || !measure) return null;
  const lines = distinct(report.rows, 0);
  const columns = distinct(report.rows, 1);
  const cells = new Map(report.rows.map((row) => [`${row[0]}\u0000${row[1]}`, row[2]]));
  return (
    <div className="scroll">
      <table className="list">
        <caption className="hidden">{speech.say(measure.label)}</caption>
        <thead>
          <tr>
            <th scope="col">{speech.say(down.label)} \ {speech.say(across.label)}</th>
            {columns.map((each) => <th key={String(each)} scope="col" className="num">{group(each, across.name, speech)}</th>)}
          </tr>
        </thead>
        <tbody>
          {lines.map((line) => (
            <tr key={String(line)}>
              <th scope="row">{group(line, down.name, speech)}</th>
              {columns.map((each) => <td key={String(each)} className="num">{figure(cells.get(`${line}\u0000${each}`), measure, speech)}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function distinct(rows: Row[], at: number): (string | number | null)[] {
  return [...new Set(rows.map((row) => row[at] ?? null))].sort((one, other) => (one === null ? 1 : other === null ? -1 : String(one).localeCompare(String(other))));
}

function Line({ report }: { report: Report }) {
  const speech = useSpeech();
  const measure = report.measures[0];
  const values = report.rows.map((row) => (typeof row[1] === "number" ? row[1] : null));
  const most = Math.max(...values.map((each) => each ?? 0), 1e-9);
  if (!measure) return null;
  const step = 300 / Math.max(1, values.length - 1);
  const points = values.map((each, at) => (each === null ? null : `${(at * step).toFixed(1)},${(76 - (70 * each) / most).toFixed(1)}`)).filter(Boolean);
  const drawn = points.length === 1 ? [points[0], String(points[0]).replace(/^[^,]+/, "300")] : points; // one value is a level
  const told = report.rows.map((row) => `${row[0]}: ${figure(row[1], measure, speech)}`).join("; ");
  return (
    <figure className="report-line">
      <svg viewBox="-4 0 308 80" role="img" aria-label={`${speech.say(measure.label)}. ${told}`} preserveAspectRatio="none">
        <polyline points={drawn.join(" ")} fill="none" stroke="currentColor" strokeWidth="2" vectorEffect="non-scaling-stroke" />
      </svg>
      <figcaption className="small soft">{String(report.rows[0]?.[0] ?? "")} – {String(report.rows.at(-1)?.[0] ?? "")} · {speech.t("report.most" as Key, { value: figure(most, measure, speech) })}</figcaption>
    </figure>
  );
}
