// Reports: what, by what, since when; kept, taken as a file, or put on the dashboard.
import { Button, NativeSelect } from "@mantine/core";
import { lazy, useState } from "react";
import { useCatalogue, useKeeping, useProblems, useReport, useSaved, type ReportBody, type Saved } from "../api/lists";
import type { Me } from "../api/types";
import { useSpeech, type Key } from "../i18n";
import { modeName, number } from "../i18n/format";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";
import { Dashboards } from "./dashboard";
import { Naming } from "./list_views";
import { Drawn, type Chart } from "./report_parts";

const PERIODS = ["today-7d", "today-30d", "today-90d", "today-365d"];
const FIRST: ReportBody = { measures: ["opened"], dimensions: ["kind"], period: { from: "today-90d", until: "now" } };

const Schedules = lazy(() => import("./schedules"));
const DashboardEditor = lazy(() => import("./dashboard_editor"));

export default function Reports({ path, me }: { path: string[]; me: Me }) {
  const { t } = useSpeech();
  const [place, id] = path;
  if (place === undefined) return <Overview me={me} />;
  if (place === "schedules") return <Schedules key={id} id={id} me={me} />;
  return place === "dashboards" && id ? <DashboardEditor key={id} id={id} me={me} /> : <Empty title={t("app.notFound")} />;
}

function Overview({ me }: { me: Me }) {
  const { t } = useSpeech();
  const [body, setBody] = useState<ReportBody>(FIRST);
  return (
    <>
      <div className="page-head"><div><h1>{t("report.title")}</h1><p>{t("report.lead")}</p></div><Button component="a" variant="default" href="#/reports/schedules">{t("sched.title")}</Button></div>
      <Dashboards me={me} />
      <Problems />
      <section className="panel" style={{ marginTop: 16 }} aria-label={t("report.build")}>
        <h2>{t("report.build")}</h2>
        <Kept body={body} choose={setBody} />
        <Builder body={body} change={setBody} />
        <Shown body={body} />
      </section>
    </>
  );
}

function Builder({ body, change }: { body: ReportBody; change: (next: ReportBody) => void }) {
  const { t, say } = useSpeech();
  const catalogue = useCatalogue();
  const none = { value: "", label: t("report.noGroup") };
  const measures = (catalogue.data?.measures ?? []).map((each) => ({ value: each.name, label: say(each.label) }));
  const groups = (catalogue.data?.dimensions ?? []).map((each) => ({ value: each.name, label: say(each.label) }));
  const [one = "", other = ""] = body.dimensions;
  const group = (first: string, second: string) => change({ ...body, sort: "", dimensions: [...new Set([first, second].filter(Boolean))] });
  return (
    <div className="row wrap">
      <NativeSelect label={t("report.measure")} value={body.measures[0]} data={measures} onChange={(event) => change({ ...body, sort: "", measures: [event.currentTarget.value] })} />
      <NativeSelect label={t("report.by")} value={one} data={[none, ...groups]} onChange={(event) => group(event.currentTarget.value, other)} />
      <NativeSelect label={t("report.and")} value={other} data={[none, ...groups]} onChange={(event) => group(one, event.currentTarget.value)} />
      <NativeSelect
        label={t("report.period")} value={body.period.from} data={PERIODS.map((value) => ({ value, label: t(`period.${value}` as Key) }))}
        onChange={(event) => change({ ...body, period: { from: event.currentTarget.value, until: "now" } })}
      />
    </div>
  );
}

function Shown({ body }: { body: ReportBody }) {
  const { t } = useSpeech();
  const [chart, setChart] = useState<Chart>("bar");
  const report = useReport(body);
  return (
    <>
      <NativeSelect
        style={{ maxWidth: 200, marginBottom: 10 }} aria-label={t("report.chart")} value={chart} onChange={(event) => setChart(event.currentTarget.value as Chart)}
        data={(["bar", "table", "line", "number"] as const).map((value) => ({ value, label: t(`chart.${value}`) }))}
      />
      <Await query={report}>
        {(found) => <><Drawn report={found} chart={chart} /><p className="small soft">{t("report.zone", { zone: found.zone })}</p></>}
      </Await>
    </>
  );
}

function Kept({ body, choose }: { body: ReportBody; choose: (next: ReportBody) => void }) {
  const { t, language } = useSpeech();
  const kept = useSaved<ReportBody>("report");
  const { keep, forget } = useKeeping("report");
  const [chosen, setChosen] = useState("");
  const [naming, setNaming] = useState(false);
  const found: Saved<ReportBody> | undefined = kept.data?.find((each) => String(each.saved_id) === chosen);
  const tried = (work: Promise<unknown>) => work.catch(() => toast(t("state.failed")));
  return (
    <div className="row wrap">
      <NativeSelect
        aria-label={t("report.kept")} value={chosen}
        onChange={(event) => {
          setChosen(event.currentTarget.value);
          const next = kept.data?.find((each) => String(each.saved_id) === event.currentTarget.value);
          if (next) choose(next.body);
        }}
        data={[{ value: "", label: t("report.noKept") }, ...(kept.data ?? []).map((each) => ({ value: String(each.saved_id), label: each.name }))]}
      />
      {found && (["xlsx", "pdf", "csv"] as const).map((form) => (
        <a key={form} className="tall-link" download href={`/api/v1/reports/saved/${found.saved_id}/file?form=${form}&locale=${language}`}>{form.toUpperCase()}</a>
      ))}
      {found?.mine && <Button size="xs" variant="default" onClick={() => void tried(forget(found.saved_id)).then(() => setChosen(""))}>{t("find.forget")}</Button>}
      <Button size="xs" variant="default" aria-expanded={naming} onClick={() => setNaming(!naming)}>{t("report.keep")}</Button>
      {naming && <Naming keep={(name, shared) => tried(keep(name, shared ? "shared" : "private", body)).then(() => setNaming(false))} />}
    </div>
  );
}

function Problems() {
  const speech = useSpeech();
  const { t } = speech;
  const [by, setBy] = useState<"cost" | "downtime" | "count">("cost");
  const problems = useProblems(by, "today-90d");
  return (
    <section className="panel" aria-label={t("report.problems")}>
      <div className="row wrap">
        <h2>{t("report.problems")}</h2>
        <NativeSelect
          aria-label={t("report.rankBy")} value={by} onChange={(event) => setBy(event.currentTarget.value as typeof by)}
          data={(["cost", "downtime", "count"] as const).map((value) => ({ value, label: t(`rank.${value}`) }))}
        />
      </div>
      <Await query={problems}>
        {(found) => found.length === 0 ? <Empty title={t("report.empty")} /> : (
          <div className="scroll">
            <table className="list">
              <thead>
                <tr>
                  <th scope="col">{t("order.asset")}</th><th scope="col">{t("order.mode")}</th>
                  <th scope="col" className="num">{t("rank.count")}</th><th scope="col" className="num">{t("rank.cost")}</th>
                  <th scope="col" className="num">{t("rank.downtime")}</th><th scope="col">{t("report.before")}</th>
                </tr>
              </thead>
              <tbody>
                {found.map((each) => {
                  const now = { cost: each.cost, downtime: each.downtime_h, count: each.count }[by];
                  return (
                    <tr key={`${each.asset_id}${each.mode}`}>
                      <td><a className="title" href={`#/assets/${each.asset_id}`}>{each.asset}</a> <span className="soft">{each.asset_name}</span></td>
                      <td>{each.mode ? modeName(each.mode, speech) : t("report.none")}</td>
                      <td className="num">{number(each.count, speech)}</td>
                      <td className="num">{number(each.cost, speech)}</td>
                      <td className="num">{number(each.downtime_h, speech)} h</td>
                      <td>{now > each.before ? "▲" : now < each.before ? "▼" : "="} {number(each.before, speech)}</td>
                    </tr>
                  );
                })}
              </tbody>
            </table>
          </div>
        )}
      </Await>
    </section>
  );
}
