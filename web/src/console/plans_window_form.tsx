// A window or shutdown as a form: a new one, or the one that stands, changed in its place.
import { Button, NativeSelect, NumberInput, TextInput } from "@mantine/core";
import { call } from "../api/client";
import { plantNow } from "../api/clock";
import { refreshPlans, type Rule, type Weekly } from "../api/plans";
import { useSpeech, type Speech } from "../i18n";
import { fullMoment, number } from "../i18n/format";
import { localAt, momentAt } from "../i18n/zone";
import { useDraft } from "../parts/draft";
import { Boxes, Overtaken, Refused, useJob } from "../parts/setting";
import { toast } from "../parts/toasts";

const DAYS = ["0", "1", "2", "3", "4", "5", "6"];
const DAY_MIN = 1440;

type Draft = {
  kind: "window" | "shutdown"; form: "weekly" | "once"; zone: string; from: string; to: string; whole: number; days: string[]; every: number;
  first: string; last: string; begins: string; ends: string; cost: number; note: string;
};

export function WindowForm({ assetId, rule, close }: { assetId: number; rule: Rule | null; close?: () => void }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const job = useJob();
  const { draft, set, version, theirs, take, keep } = useDraft(rule && { ...rule, changed_by: "" }, (one) => read(one, speech.zone), () => fresh(speech.zone));
  const change = (more: Partial<Draft>) => set({ ...draft, ...more });
  const field = (name: "from" | "to" | "first" | "last" | "begins" | "ends" | "note", label: string, type: string) => (
    <TextInput type={type} label={label} value={draft[name]} onChange={(event) => change({ [name]: event.currentTarget.value })} />
  );
  const good = draft.form === "weekly" ? draft.days.length > 0 && Boolean(draft.first && draft.from && draft.to) : Boolean(draft.begins && draft.ends);
  const save = () => job.run(async () => {
    try {
      const path = rule ? `/windows/${rule.window_id}` : "/windows";
      await call(path, { method: rule ? "PUT" : "POST", version: rule ? version : undefined, body: sent(draft, assetId) });
      toast(t("pl.windowSaved"));
      if (!rule) set(fresh(speech.zone));
      close?.();
    } finally {
      await refreshPlans();
    }
  });
  const name = t(rule ? "pl.changeWindow" : "pl.addWindow");
  return (
    <form className="stack" aria-label={name} style={{ minWidth: 0 }} onSubmit={(event) => { event.preventDefault(); void save(); }}>
      <strong>{name}</strong>
      <div className="row wrap" style={{ alignItems: "flex-start" }}>
        <NativeSelect label={t("pl.kind")} value={draft.kind} onChange={(event) => change({ kind: event.currentTarget.value as Draft["kind"] })} data={["window", "shutdown"].map((one) => ({ value: one, label: code("windowKind", one) }))} />
        <NativeSelect label={t("pl.form")} value={draft.form} onChange={(event) => change({ form: event.currentTarget.value as Draft["form"] })} data={[{ value: "weekly", label: t("pl.formWeekly") }, { value: "once", label: t("pl.formOnce") }]} />
        {draft.form === "weekly" ? (
          <>
            {field("from", t("pl.from"), "time")}{field("to", t("pl.to"), "time")}
            <NumberInput label={t("pl.everyNWeeks")} min={1} max={52} w={130} value={draft.every} onChange={(value) => change({ every: Number(value) || 1 })} />
            {field("first", t("pl.first"), "date")}{field("last", t("pl.lastDay"), "date")}
          </>
        ) : <>{field("begins", t("pl.from"), "datetime-local")}{field("ends", t("pl.to"), "datetime-local")}</>}
        <NumberInput label={t("pl.cost")} min={0} value={draft.cost} onChange={(value) => change({ cost: Number(value) })} style={{ maxWidth: 160 }} />
        {field("note", t("pl.note"), "text")}
      </div>
      {draft.form === "weekly" && <Boxes label={t("pl.days")} all={DAYS} chosen={draft.days} change={(days) => change({ days })} words={(one) => code("weekday", one)} />}
      {draft.form === "weekly" && <p className="soft small">{t("pl.zoneIs", { zone: draft.zone })}</p>}
      {theirs
        ? <Overtaken by="" mine={linesOf(sent(draft, assetId) as Rule, speech)} theirs={linesOf(theirs, speech)} take={() => { take(); job.clear(); }} keep={() => { keep(); job.clear(); }} />
        : <Refused problem={job.problem} />}
      <div className="row">
        <Button type="submit" loading={job.busy} disabled={!good}>{rule ? t("app.save") : t("pl.add")}</Button>
        {close && <Button variant="default" onClick={close}>{t("app.cancel")}</Button>}
      </div>
    </form>
  );
}

/** When a rule holds, in words. */
export function ruleText(rule: Pick<Rule, "begins" | "ends" | "weekly">, speech: Speech): string {
  if (!rule.weekly) return `${fullMoment(rule.begins ?? "", speech)} – ${fullMoment(rule.ends ?? "", speech)}`;
  const week = rule.weekly;
  const days = week.weekdays.map((day) => speech.code("weekday", day)).join(", ");
  return speech.t(week.every_weeks === 1 ? "pl.weekly" : "pl.everyWeeks", { days, from: clock(week.opens_min), to: clock(week.opens_min + week.lasts_min), zone: week.zone, n: week.every_weeks });
}

function linesOf(rule: Rule, speech: Speech) {
  const { t, code } = speech;
  return { [t("pl.kind")]: code("windowKind", rule.kind), [t("pl.form")]: ruleText(rule, speech), [t("pl.cost")]: number(rule.cost_h, speech), [t("pl.note")]: rule.note };
}

function fresh(zone: string): Draft {
  const today = localAt(plantNow(), zone).slice(0, 10);
  return {
    kind: "window", form: "weekly", zone, from: "22:00", to: "06:00", whole: 0, days: ["5"], every: 1, first: today, last: "",
    begins: `${today}T08:00`, ends: `${today}T16:00`, cost: 0, note: "",
  };
}

function read(rule: Rule, zone: string): Draft {
  const usual = fresh(zone);
  const common = { ...usual, kind: rule.kind, cost: rule.cost_h, note: rule.note };
  if (!rule.weekly) return { ...common, form: "once", begins: localAt(rule.begins ?? "", zone), ends: localAt(rule.ends ?? "", zone) };
  const week = rule.weekly;
  return {
    ...common, form: "weekly", zone: week.zone, from: clock(week.opens_min), to: clock(week.opens_min + week.lasts_min), whole: Math.floor((week.lasts_min - 1) / DAY_MIN),
    days: week.weekdays.map(String), every: week.every_weeks, first: week.first_day, last: week.last_day ?? "",
  };
}

/** A window that lasts longer than a day keeps its whole days: two clock times do not tell them. */
function sent(draft: Draft, assetId: number): object {
  const common = { asset_id: assetId, kind: draft.kind, cost_h: draft.cost, note: draft.note, begins: null, ends: null, weekly: null };
  if (draft.form === "once") return { ...common, begins: momentAt(draft.begins, draft.zone), ends: momentAt(draft.ends, draft.zone) };
  const opens = minuteOf(draft.from);
  const lasts = (((minuteOf(draft.to) - opens + DAY_MIN) % DAY_MIN) || DAY_MIN) + draft.whole * DAY_MIN;
  const weekly: Weekly = { zone: draft.zone, weekdays: draft.days.map(Number).sort(), opens_min: opens, lasts_min: lasts, every_weeks: draft.every, first_day: draft.first, last_day: draft.last || null };
  return { ...common, weekly };
}

function clock(minutes: number): string {
  const at = minutes % DAY_MIN;
  return `${String(Math.floor(at / 60)).padStart(2, "0")}:${String(at % 60).padStart(2, "0")}`;
}

function minuteOf(shown: string): number {
  const [hours = 0, minutes = 0] = shown.split(":").map(Number);
  return 60 * hours + minutes;
}
