// The dispatch board: people by days, what is left over, and why. A plan changes nothing before it is accepted.
import { useState } from "react";
import { Button, Modal, NativeSelect, Progress, Select } from "@mantine/core";
import { call, Problem } from "../api/client";
import { plantNow } from "../api/clock";
import { board, current, useDispatchSettings, usePlan, usePlans, type After, type Plan, type PlanDetail, type Visit } from "../api/dispatch";
import { queryClient, useEngineers } from "../api/queries";
import type { Me } from "../api/types";
import { useSpeech } from "../i18n";
import { number, percent } from "../i18n/format";
import { Age } from "../parts/marks";
import { Refused, useJob } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";
import { ROW } from "./list_keys";

const PLANNERS = ["planner", "manager", "admin"];
const AFTER: After[] = ["propose", "adopt", "off"];
const USUAL_S = 24;
const DAYS = ["1", "2", "3", "5", "7", "14"];
const DAY_MS = 86_400_000;

export default function Dispatch({ me }: { me: Me }) {
  const { t } = useSpeech();
  const plans = usePlans();
  const [sick, setSick] = useState(false);
  const mayPlan = PLANNERS.includes(me.role);
  const shown = current(plans.data?.items ?? []);
  const busy = shown?.status === "planning";
  return (
    <>
      <div className="page-head">
        <div><h1>{t("dispatch.title")}</h1><p>{t("dispatch.lead")}</p></div>
        {mayPlan && (
          <div className="row">
            <Button disabled={busy} onClick={() => void act("/plans", {})}>{t("dispatch.plan")}</Button>
            <Button disabled={busy} variant="default" onClick={() => void act("/plans", { cause: "emergency" })}>{t("dispatch.replan")}</Button>
            <Button disabled={busy} variant="default" onClick={() => setSick(true)}>{t("dispatch.sick")}</Button>
          </div>
        )}
      </div>
      <Await query={plans}>
        {() => (shown === null ? <div className="panel"><Empty title={t("dispatch.none")} hint={t("dispatch.noneHint")} /></div> : <Shown plan={shown} mayPlan={mayPlan} />)}
      </Await>
      {mayPlan && <AfterSurprise />}
      {sick && <SickDialog close={() => setSick(false)} />}
    </>
  );
}

function AfterSurprise() {
  const { t } = useSpeech();
  const settings = useDispatchSettings(true);
  const job = useJob();
  if (!settings.data) return null;
  const choose = (replanning: After) => void job.run(async () => {
    await call("/dispatch/settings", { method: "PUT", body: { ...settings.data, replanning } });
    await queryClient.invalidateQueries({ queryKey: ["plan", "settings"] });
  });
  return (
    <section className="panel" style={{ marginTop: 16 }}>
      <NativeSelect
        label={t("dispatch.after")} description={t("dispatch.afterHint")} value={settings.data.replanning} disabled={job.busy} style={{ maxWidth: 420 }}
        data={AFTER.map((value) => ({ value, label: t(`dispatch.after.${value}`) }))} onChange={(event) => choose(event.currentTarget.value as After)}
      />
      <Refused problem={job.problem} />
    </section>
  );
}

async function act(path: string, body: unknown): Promise<void> {
  try {
    await call(path, { method: "POST", body });
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    toast(error.detail || error.message);
  }
  await queryClient.invalidateQueries({ queryKey: ["plan"] });
}

function Shown({ plan, mayPlan }: { plan: Plan; mayPlan: boolean }) {
  const { t } = useSpeech();
  const detail = usePlan(plan.plan_id, plan.status);
  if (plan.status === "planning") return <Making plan={plan} />;
  return (
    <Await query={detail}>
      {(found) => (
        <>
          <Summary plan={found} mayPlan={mayPlan} />
          {found.visits.length === 0 ? <div className="panel"><Empty title={t("dispatch.noVisits")} /></div> : <Board plan={found} mayPlan={mayPlan} />}
          <LeftOver plan={found} />
        </>
      )}
    </Await>
  );
}

function Making({ plan }: { plan: Plan }) {
  const { t } = useSpeech();
  const [since] = useState(() => Date.now());
  const done = Math.min(95, ((Date.now() - since) / 1000 / USUAL_S) * 100);
  return (
    <div className="panel" role="status">
      <p>{t("dispatch.making")}</p>
      <Progress value={done} aria-label={t("dispatch.making")} />
      <p className="soft">#{plan.plan_id}</p>
    </div>
  );
}

function Summary({ plan, mayPlan }: { plan: PlanDetail; mayPlan: boolean }) {
  const { t, code } = useSpeech();
  const jobs = new Set(plan.visits.map((visit) => visit.ticket_id)).size;
  const saved = plan.cost !== null && plan.greedy_cost ? 1 - plan.cost / plan.greedy_cost : null;
  return (
    <>
      <div className="tiles">
        <div className="tile"><div className="name">{t("dispatch.state")}</div><div className="value">{code("planStatus", plan.status)}</div><Age at={plan.made_at} /></div>
        <div className="tile"><div className="name">{t("dispatch.jobs")}</div><div className="value">{jobs}</div></div>
        <div className="tile"><div className="name">{t("dispatch.left")}</div><div className="value">{plan.left_over.length}</div></div>
        <div className="tile"><div className="name">{t("dispatch.moved")}</div><div className="value">{percent(plan.moved)}</div></div>
        <div className="tile"><div className="name">{t("dispatch.saved")}</div><div className="value">{saved === null ? "–" : percent(Math.max(saved, 0))}</div></div>
      </div>
      {plan.by_itself && plan.because.length > 0 && (
        <p role={plan.status === "draft" ? "status" : undefined}>{t("dispatch.because")} {plan.because.map((one) => t(`dispatch.because.${one.cause}`, { name: one.name })).join("; ")}</p>
      )}
      {plan.maker === "greedy" && <p role="alert">{t("dispatch.fallback")} {plan.reason}</p>}
      {mayPlan && plan.status === "draft" && (
        <div className="row" style={{ marginBottom: 12 }}>
          <Button onClick={() => void act(`/plans/${plan.plan_id}/accept`, {})}>{t("dispatch.accept")}</Button>
          <Button variant="default" onClick={() => void act(`/plans/${plan.plan_id}/discard`, {})}>{t("dispatch.discard")}</Button>
        </div>
      )}
    </>
  );
}

function Board({ plan, mayPlan }: { plan: PlanDetail; mayPlan: boolean }) {
  const speech = useSpeech();
  const { t } = speech;
  const [open, setOpen] = useState<Visit | null>(null);
  const base = usePlan(plan.status === "draft" ? plan.base_id : null, "accepted");
  const { days, people } = board(plan.visits, speech.zone);
  const head = new Intl.DateTimeFormat(speech.language, { timeZone: "UTC", weekday: "short", month: "numeric", day: "numeric" });
  return (
    <>
      <div className="scroll" tabIndex={0} role="region" aria-label={t("dispatch.title")}>
        <table className="list">
          <thead>
            <tr><th scope="col">{t("dispatch.person")}</th>{days.map((day) => <th key={day} scope="col">{head.format(new Date(`${day}T00:00:00Z`))}</th>)}</tr>
          </thead>
          <tbody>
            {people.map(([id, name, byDay]) => (
              <tr key={id}>
                <th scope="row" className="nowrap">{name}</th>
                {days.map((day) => (
                  <td key={day} style={{ minWidth: 150 }}>
                    {(byDay.get(day) ?? []).map((visit) => <Chip key={visit.visit_id} visit={visit} open={() => setOpen(visit)} />)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {open && <Why visit={open} others={plan.visits.filter((one) => one.ticket_id === open.ticket_id && one.visit_id !== open.visit_id)} before={open.change === "moved" ? (base.data?.visits ?? []).filter((one) => one.ticket_id === open.ticket_id) : []} fixable={mayPlan && plan.status === "accepted"} close={() => setOpen(null)} />}
    </>
  );
}

function Chip({ visit, open }: { visit: Visit; open: () => void }) {
  const speech = useSpeech();
  const mark = visit.frozen ? speech.t("dispatch.frozen") : visit.change === "moved" ? speech.t("dispatch.changed") : "";
  return (
    <button type="button" className={visit.change === "moved" && !visit.frozen ? "visit moved" : "visit"} onClick={open} {...{ [ROW]: "" }}>
      <span className="nowrap">{hours(visit, speech.language, speech.zone)}</span> <strong>{visit.ref}</strong>
      {mark && <span className="soft"> · {mark}</span>}
      <span className="visit-title">{visit.title}</span>
    </button>
  );
}

function hours(visit: Visit, language: string, zone: string): string {
  const clock = new Intl.DateTimeFormat(language, { timeZone: zone, hour: "2-digit", minute: "2-digit", hour12: false });
  return `${clock.format(new Date(visit.starts))}–${clock.format(new Date(visit.ends))}`;
}

function Why({ visit, others, before, fixable, close }: { visit: Visit; others: Visit[]; before: Visit[]; fixable: boolean; close: () => void }) {
  const speech = useSpeech();
  const { t, language, zone } = speech;
  const job = useJob();
  const day = new Intl.DateTimeFormat(language, { timeZone: zone, weekday: "long", month: "long", day: "numeric" });
  const fix = () => job.run(async () => {
    await call(`/visits/${visit.visit_id}`, { method: "PATCH", body: { frozen: !visit.frozen } });
    await queryClient.invalidateQueries({ queryKey: ["plan"] });
    close();
  });
  return (
    <Modal opened onClose={close} title={`${visit.ref} · ${visit.engineer} · ${hours(visit, language, zone)}`} closeButtonProps={{ "aria-label": t("app.close") }}>
      <p className="strong">{visit.title}</p>
      <dl className="facts" style={{ margin: "8px 0 14px" }}>
        <dt>{t("dispatch.who")}</dt><dd>{[visit, ...others].map((one) => one.engineer).join(", ")}</dd>
        <dt>{t("dispatch.when")}</dt><dd>{day.format(new Date(visit.starts))}, {hours(visit, language, zone)}</dd>
        {before.length > 0 && <><dt>{t("dispatch.movedFrom")}</dt><dd><s>{before.map((one) => `${one.engineer}, ${day.format(new Date(one.starts))}, ${hours(one, language, zone)}`).join("; ")}</s></dd></>}
        <dt>{t("dispatch.travel")}</dt><dd>{t("dispatch.minutes", { n: number(Math.round(visit.travel_s / 60), speech) })}</dd>
        <dt>{t("dispatch.parts")}</dt>
        <dd>{visit.parts.length === 0 ? t("dispatch.noParts") : visit.parts.map((one) => t(one.reserved > 0 ? "dispatch.partReserved" : "dispatch.partUsed", { n: number(one.reserved || one.consumed, speech), unit: one.unit, code: one.code, name: one.name, store: one.store })).join("; ")}</dd>
      </dl>
      <h2>{t("dispatch.why")}</h2>
      <ul>{visit.reasons.map((reason, row) => <li key={row}>{reason[language]}</li>)}</ul>
      <Refused problem={job.problem} />
      <div className="row" style={{ marginTop: 12 }}>
        <a className="tall-link" style={{ paddingLeft: 0 }} href={`#/orders/${visit.ticket_id}`}>{t("app.open")}</a>
        {fixable && <Button size="xs" variant="default" loading={job.busy} onClick={() => void fix()}>{t(visit.frozen ? "dispatch.letGo" : "dispatch.fix")}</Button>}
      </div>
    </Modal>
  );
}

function LeftOver({ plan }: { plan: PlanDetail }) {
  const { t, language } = useSpeech();
  if (plan.left_over.length === 0) return null;
  return (
    <section className="panel" style={{ marginTop: 16 }}>
      <h2>{t("dispatch.left")}</h2>
      <ul>{plan.left_over.map((each) => <li key={each.ticket_id}><a href={`#/orders/${each.ticket_id}`}>{each.ref}</a>: {each.why[language]}</li>)}</ul>
    </section>
  );
}

function SickDialog({ close }: { close: () => void }) {
  const { t } = useSpeech();
  const engineers = useEngineers();
  const [who, setWho] = useState<string | null>(null);
  const [days, setDays] = useState("1");
  const job = useJob();
  const submit = () => job.run(async () => {
    const until = new Date(plantNow() + Number(days) * DAY_MS).toISOString();
    await call("/plans", { method: "POST", body: { cause: "sickness", engineer_id: Number(who), until } });
    await queryClient.invalidateQueries({ queryKey: ["plan"] });
    close();
  });
  return (
    <Modal opened onClose={close} title={t("dispatch.sick")} closeButtonProps={{ "aria-label": t("app.close") }}>
      <Select
        label={t("dispatch.person")} value={who} onChange={setWho} searchable
        data={(engineers.data ?? []).map((each) => ({ value: String(each.engineer_id), label: each.name }))}
      />
      <NativeSelect mt="sm" label={t("dispatch.sickFor")} value={days} data={DAYS} onChange={(event) => setDays(event.currentTarget.value)} />
      <p className="soft small" style={{ margin: "8px 0" }}>{t("dispatch.sickHint")}</p>
      <Refused problem={job.problem} />
      <Button mt="md" disabled={who === null} loading={job.busy} onClick={() => void submit()}>{t("dispatch.replan")}</Button>
    </Modal>
  );
}
