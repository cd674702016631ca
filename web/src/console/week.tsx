// The week in one page: the figures of maintenance, the detectors, and what their orders were worth; each opens its rows.
import { useState } from "react";
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { plantNow } from "../api/clock";
import { MOST_ROWS, useFigureRows, useFigures, type Figure, type FigureName, type FigureRow, type Stretch } from "../api/proof";
import { useSpeech, type Speech } from "../i18n";
import { fullMoment, number, percent } from "../i18n/format";
import { localAt, momentAt } from "../i18n/zone";
import { Head } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { go, type Route } from "../router";
import { ROW } from "./list_keys";
import { DetectorFigures, LedgerPart } from "./week_worth";

const DAYS = ["7", "14", "30", "90", "365"];
const DAY_MS = 86_400_000;
const HOUR_US = 3_600_000_000;
const DATE = /^\d{4}-\d{2}-\d{2}$/;

/** What one of a row's whole numbers is divided by to be said in its column's unit. */
const SCALE: Record<FigureName, [above: number, below: number]> = {
  mtbf: [HOUR_US, 1],
  mttr: [HOUR_US, 1],
  availability: [HOUR_US, HOUR_US],
  planned_share: [60, 60],
  pm_compliance: [1, 1],
  schedule_compliance: [1, 1],
  backlog_weeks: [60, 1],
};

export default function WeekPage({ search }: { search: Route["search"] }) {
  const { t, zone } = useSpeech();
  const [now] = useState(() => plantNow());
  const asked = search.get("last") ?? "";
  const last = DATE.test(asked) && Number.isFinite(Date.parse(asked)) ? asked : "";
  const days = DAYS.includes(search.get("days") ?? "") ? search.get("days")! : "7";
  const span = stretch(last, Number(days), now, zone);
  const show = (next: { last?: string; days?: string }) => go(`/week?days=${next.days ?? days}&last=${next.last ?? last}`, "replace");
  return (
    <>
      <Head title={t("week.title")} lead={t("week.lead")} />
      <div className="row" style={{ alignItems: "flex-end", marginBottom: 12 }}>
        <NativeSelect label={t("week.span")} value={days} data={DAYS.map((value) => ({ value, label: t("week.days", { n: value }) }))} onChange={(event) => show({ days: event.currentTarget.value })} />
        <TextInput type="date" label={t("week.last")} value={last} onChange={(event) => show({ last: event.currentTarget.value })} />
        <a className="tall-link" href="#/reports">{t("week.reports")}</a>
      </div>
      <div className="stack" style={{ gap: 24 }}>
        <Figures span={span} />
        <DetectorFigures span={span} />
        <LedgerPart span={span} />
      </div>
    </>
  );
}

/** So many days that end with the plant's day `last`, or now where none was named. */
function stretch(last: string, days: number, now: number, zone: string): Stretch {
  const local = Date.parse(last ? `${last}T00:00Z` : `${localAt(now, zone)}Z`) + (last ? DAY_MS : 0);
  const at = (shift: number) => momentAt(new Date(local - shift * DAY_MS).toISOString().slice(0, 16), zone);
  return { since: at(days), until: last ? at(0) : new Date(now).toISOString() };
}

function Figures({ span }: { span: Stretch }) {
  const speech = useSpeech();
  const { t } = speech;
  const found = useFigures(span);
  const [chosen, choose] = useState<FigureName | null>(null);
  return (
    <section className="stack" aria-label={t("week.figures")}>
      <h2>{t("week.figures")}</h2>
      <Await query={found}>
        {(data) => (
          <>
            <p className="soft" style={{ margin: 0 }}>{t("week.machines", { n: data.machines, from: fullMoment(data.since, speech), to: fullMoment(data.until, speech) })}</p>
            <Table figures={data.figures} chosen={chosen} choose={(name) => choose(name === chosen ? null : name)} />
            {chosen && <Rows figure={data.figures.find((one) => one.name === chosen)!} span={span} />}
          </>
        )}
      </Await>
    </section>
  );
}

function Table({ figures, chosen, choose }: { figures: Figure[]; chosen: FigureName | null; choose: (name: FigureName) => void }) {
  const speech = useSpeech();
  const { t, say, code } = speech;
  return (
    <div className="scroll">
      <table className="list middle cards">
        <thead>
          <tr>
            <th scope="col">{t("week.figure")}</th>
            <th scope="col" className="num">{t("week.value")}</th>
            <th scope="col">{t("week.means")}</th>
            <th scope="col"><span className="hidden">{t("week.rows")}</span></th>
          </tr>
        </thead>
        <tbody>
          {figures.map((one) => (
            <tr key={one.name}>
              <th scope="row">{say(one.label)}</th>
              <td className="num nowrap" data-label={t("week.value")}><strong>{shown(one, speech)}</strong></td>
              <td className="soft" data-label={t("week.means")}>{code("weekMeans", one.name)}</td>
              <td>
                <Button
                  size="xs" variant="default" aria-expanded={chosen === one.name} disabled={one.rows === 0} onClick={() => choose(one.name)}
                  aria-label={`${t("week.open", { n: one.rows })}: ${say(one.label)}`} {...{ [ROW]: "" }}
                >
                  {t("week.open", { n: one.rows })}
                </Button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function shown(one: Figure, speech: Speech): string {
  if (one.value === null) return speech.t("week.nothing");
  if (one.unit === "share") return percent(one.value);
  return speech.t(one.unit === "h" ? "week.hours" : "week.weeks", { n: number(one.value, speech) });
}

function Rows({ figure, span }: { figure: Figure; span: Stretch }) {
  const speech = useSpeech();
  const { t, say, code } = speech;
  const rows = useFigureRows(figure.name, span);
  const [above, below] = [code("weekAbove", figure.name), code("weekBelow", figure.name)];
  const [perAbove, perBelow] = SCALE[figure.name];
  return (
    <section className="stack tight" aria-label={t("week.rowsOf", { name: say(figure.label) })}>
      <h3>{t("week.rowsOf", { name: say(figure.label) })}</h3>
      <p className="soft" style={{ margin: 0 }}>
        {t("week.sum", { above, a: number(figure.numerator / perAbove, speech), below, b: number(figure.denominator / perBelow, speech) })}{" "}
        {figure.rows > MOST_ROWS && t("week.first", { n: MOST_ROWS, all: figure.rows })}
      </p>
      <Await query={rows}>
        {({ items }) => items.length === 0 ? <div className="panel"><Empty title={t("week.nothing")} /></div> : (
          <div className="scroll">
            <table className="list cards">
              <thead>
                <tr>
                  <th scope="col">{t("week.what")}</th><th scope="col">{t("week.at")}</th>
                  <th scope="col" className="num">{above}</th><th scope="col" className="num">{below}</th>
                </tr>
              </thead>
              <tbody>
                {items.map((one) => (
                  <tr key={`${one.kind} ${one.id}`}>
                    <th scope="row"><What row={one} /></th>
                    <td data-label={t("week.at")}>{fullMoment(one.at, speech)}</td>
                    <td className="num" data-label={above}>{number(one.above / perAbove, speech)}</td>
                    <td className="num" data-label={below}>{number(one.below / perBelow, speech)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Await>
    </section>
  );
}

function What({ row }: { row: FigureRow }) {
  const { code } = useSpeech();
  const words = `${code("weekKind", row.kind)}${row.kind === "period" ? "" : ` #${row.id}`}`;
  return row.ticket_id === null ? <>{words}</> : <a href={`#/orders/${row.ticket_id}`} {...{ [ROW]: "" }}>{words}</a>;
}
