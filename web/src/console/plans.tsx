// Preventive plans: what is due, the weeks to come, and the way to job plans, readiness and windows.
import { useState } from "react";
import { Button } from "@mantine/core";
import { plantNow } from "../api/clock";
import { useJobPlans, usePreventive, useSchedule, weekly, type JobPlan, type Plan, type Schedule } from "../api/plans";
import type { Me } from "../api/types";
import { useSpeech } from "../i18n";
import { number } from "../i18n/format";
import { Age } from "../parts/marks";
import { Head, Scroll } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { ROW } from "./list_keys";
import { Meters } from "./meters";
import { JobPlanPage } from "./plans_job";
import { PlanPage } from "./plans_plan";
import { Ready } from "./plans_ready";
import { Windows } from "./plans_windows";

const WEEKS = 52;

export default function Plans({ path, me }: { path: string[]; me: Me }) {
  const { t } = useSpeech();
  const may = ["planner", "manager", "admin"].includes(me.role);
  const [page, id] = path;
  if (!page) return <Overview may={may} />;
  if (page === "ready") return <Ready may={may} />;
  if (page === "windows") return <Windows assetId={Number(id) || null} may={may} />;
  if (page === "meters") return <Meters path={path.slice(1)} may={may} />;
  if (page === "plan" && id) return <PlanPage code={id} may={may} />;
  if (page === "job" && id) return <JobPlanPage code={id} may={may} />;
  return <Empty title={t("app.notFound")} />;
}

function Overview({ may }: { may: boolean }) {
  const { t } = useSpeech();
  const plans = usePreventive();
  const schedule = useSchedule(WEEKS);
  const jobs = useJobPlans();
  return (
    <>
      <Head title={t("pl.title")} lead={t("pl.lead")}>
        <Button component="a" variant="default" href="#/plans/ready">{t("pl.ready")}</Button>
        <Button component="a" variant="default" href="#/plans/windows">{t("pl.windows")}</Button>
        <Button component="a" variant="default" href="#/plans/meters">{t("mt.title")}</Button>
        {may && <Button component="a" href="#/plans/plan/new">{t("pl.new")}</Button>}
      </Head>
      <div className="stack">
        <Await query={schedule}>{(found) => <Weeks schedule={found} />}</Await>
        <Await query={plans}>
          {(items) => items.length === 0 ? <div className="panel"><Empty title={t("pl.none")} hint={t("pl.noneHint")} /></div> : <List items={items} />}
        </Await>
        <section>
          <div className="page-head"><h2>{t("pl.jobs")}</h2>{may && <Button component="a" variant="default" href="#/plans/job/new">{t("pl.newJob")}</Button>}</div>
          <Await query={jobs}>
            {(items) => items.length === 0 ? <div className="panel"><Empty title={t("pl.noJobs")} /></div> : <Jobs items={items} />}
          </Await>
        </section>
      </div>
    </>
  );
}

function Weeks({ schedule }: { schedule: Schedule }) {
  const speech = useSpeech();
  const { t } = speech;
  const [shown, setShown] = useState<string | null>(null);
  const weeks = weekly(schedule.visits, new Date(plantNow()).toISOString().slice(0, 10), schedule.weeks);
  const most = Math.max(1, ...weeks.map((week) => week.visits.length));
  const chosen = weeks.find((week) => week.monday === shown);
  return (
    <section className="panel stack">
      <h2>{t("pl.year")}</h2>
      <p className="soft">{t("pl.yearLead", { visits: number(schedule.visits.length, speech), spared: number(schedule.spared.length, speech) })}{schedule.truncated && ` ${t("pl.truncated")}`}</p>
      <Scroll label={t("pl.year")}>
        <div className="weeks">
          {weeks.map((week) => (
            <button key={week.monday} type="button" aria-pressed={shown === week.monday} onClick={() => setShown(shown === week.monday ? null : week.monday)}
              aria-label={t("pl.weekOf", { day: week.monday, n: week.visits.length })} title={t("pl.weekOf", { day: week.monday, n: week.visits.length })}>
              <span className="column"><span style={{ height: `${(100 * week.visits.length) / most}%` }} /></span>
              <span>{week.visits.length}</span>
              <small>{week.monday.slice(5)}</small>
            </button>
          ))}
        </div>
      </Scroll>
      {chosen && (
        <ul className="plain-list" aria-live="polite">
          {chosen.visits.length === 0 && <li>{t("pl.weekEmpty")}</li>}
          {chosen.visits.map((visit, i) => (
            <li key={i}>
              <strong>{visit.day}</strong> · {visit.assets.join(", ")} · {visit.plans.map((one) => one.code).join(" + ")}
              {visit.minutes > 0 && ` · ${t("pl.work", { minutes: number(visit.minutes, speech), people: visit.people })}`}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function List({ items }: { items: Plan[] }) {
  const { t, say, code } = useSpeech();
  return (
    <div className="scroll">
      <table className="list cards">
        <caption className="hidden">{t("pl.title")}</caption>
        <thead>
          <tr><th scope="col">{t("pl.plan")}</th><th scope="col">{t("pl.assets")}</th><th scope="col">{t("pl.due")}</th><th scope="col">{t("pl.done")}</th><th scope="col">{t("pl.state")}</th></tr>
        </thead>
        <tbody>
          {items.map((each) => (
            <tr key={each.code}>
              <th scope="row">
                <a className="title" href={`#/plans/plan/${each.code}`} {...{ [ROW]: "" }}>{say(each.body.title)}</a> <span className="soft small">{each.code}</span>
                {each.warnings.map((one, i) => <div key={i} className="soft small">▲ {say(one)}</div>)}
              </th>
              <td data-label={t("pl.assets")}>{each.body.assets.join(", ")}</td>
              <td data-label={t("pl.due")}>{each.open_due ? t("pl.orderOpen", { day: each.open_due }) : each.next_due ?? t("pl.notInSight")}</td>
              <td data-label={t("pl.done")}>{each.last_done ?? "–"}</td>
              <td data-label={t("pl.state")}>{code("planState", each.state)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Jobs({ items }: { items: JobPlan[] }) {
  const speech = useSpeech();
  const { t, say } = speech;
  return (
    <div className="scroll">
      <table className="list cards">
        <caption className="hidden">{t("pl.jobs")}</caption>
        <thead><tr><th scope="col">{t("pl.job")}</th><th scope="col">{t("pl.skill")}</th><th scope="col" className="num">{t("pl.minutes")}</th><th scope="col">{t("pl.revision")}</th></tr></thead>
        <tbody>
          {items.map((each) => (
            <tr key={each.code}>
              <th scope="row"><a className="title" href={`#/plans/job/${each.code}`} {...{ [ROW]: "" }}>{say(each.body.title)}</a> <span className="soft small">{each.code}</span></th>
              <td data-label={t("pl.skill")}>{each.body.skill ? speech.code("skill", each.body.skill) : "–"}</td>
              <td className="num" data-label={t("pl.minutes")}>{number(each.body.minutes, speech)} min × {each.body.people ?? 1}</td>
              <td data-label={t("pl.revision")}><span>{each.revision} · <Age at={each.made_at} /></span></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
