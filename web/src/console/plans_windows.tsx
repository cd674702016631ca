// Production windows: when a machine may stop, as a strip of two weeks, and the rules behind it.
import { useState } from "react";
import { Button, NativeSelect, NumberInput, TextInput } from "@mantine/core";
import { call } from "../api/client";
import { plantNow } from "../api/clock";
import { plusDays, refreshPlans, useRules, useStops, type Opening, type Rule, type Stops } from "../api/plans";
import { useAssets } from "../api/queries";
import { useSpeech, type Speech } from "../i18n";
import { fullMoment, number } from "../i18n/format";
import { Boxes, Head, Refused, Scroll, useJob } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { go } from "../router";

const DAYS = ["0", "1", "2", "3", "4", "5", "6"];
const SHOWN = 14;

export function Windows({ assetId, may }: { assetId: number | null; may: boolean }) {
  const { t } = useSpeech();
  const assets = useAssets();
  return (
    <>
      <Head title={t("pl.windows")} lead={t("pl.windowsLead")} back={t("pl.title")} backTo="#/plans" />
      <Await query={assets}>
        {(items) => {
          const chosen = assetId ?? items[0]?.asset_id ?? null;
          if (chosen === null) return <div className="panel"><Empty title={t("pl.noAssets")} /></div>;
          return (
            <div className="stack">
              <NativeSelect label={t("pl.asset")} value={String(chosen)} style={{ maxWidth: 360 }} onChange={(event) => go(`/plans/windows/${event.currentTarget.value}`)}
                data={items.map((one) => ({ value: String(one.asset_id), label: `${one.code} · ${one.name}` }))} />
              <Strip key={`s${chosen}`} assetId={chosen} />
              <Rules key={`r${chosen}`} assetId={chosen} may={may} />
            </div>
          );
        }}
      </Await>
    </>
  );
}

function Strip({ assetId }: { assetId: number }) {
  const speech = useSpeech();
  const { t } = speech;
  const [from, setFrom] = useState(new Date(plantNow()).toISOString().slice(0, 10));
  const begins = localMidnight(from, speech.zone);
  const ends = localMidnight(plusDays(from, SHOWN), speech.zone);
  const stops = useStops(assetId, begins.toISOString(), ends.toISOString());
  const days = Array.from({ length: SHOWN }, (_, i) => plusDays(from, i));
  return (
    <section className="panel stack">
      <div className="row">
        <h2>{t("pl.strip")}</h2>
        <Button size="xs" variant="default" onClick={() => setFrom(plusDays(from, -7))}>← {t("pl.earlier")}</Button>
        <Button size="xs" variant="default" onClick={() => setFrom(plusDays(from, 7))}>{t("pl.later")} →</Button>
      </div>
      <Await query={stops}>
        {(found) => (
          <>
            <p>{words(found, speech)}</p>
            <Scroll label={t("pl.strip")}>
              <ol className="strip">
                {days.map((day) => <Day key={day} day={day} openings={found.openings} />)}
              </ol>
            </Scroll>
          </>
        )}
      </Await>
    </section>
  );
}

function words(found: Stops, speech: Speech): string {
  const first = speech.t(found.restricted ? "pl.restricted" : "pl.always");
  if (!found.next) return `${first} ${speech.t("pl.noStop")}`;
  return `${first} ${speech.t("pl.nextStop", { when: fullMoment(found.next.begins, speech), cost: number(found.next.cost_h, speech) })}`;
}

function Day({ day, openings }: { day: string; openings: Opening[] }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const start = localMidnight(day, speech.zone).getTime();
  const end = localMidnight(plusDays(day, 1), speech.zone).getTime();
  const bars = openings
    .map((one) => ({ one, from: Math.max(Date.parse(one.begins), start), to: Math.min(Date.parse(one.ends), end) }))
    .filter((bar) => bar.from < bar.to);
  const clock = (at: number) => new Intl.DateTimeFormat("en-GB", { timeZone: speech.zone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(at);
  const said = bars.map((bar) => `${code("windowKind", bar.one.kind)} ${clock(bar.from)}–${bar.to === end ? "24:00" : clock(bar.to)}`).join(", ") || t("pl.closed");
  return (
    <li>
      <span className="day">{day.slice(5)} {code("weekday", (new Date(`${day}T00:00:00Z`).getUTCDay() + 6) % 7)}</span>
      <span className="lane" aria-hidden="true">
        {bars.map((bar, i) => <span key={i} className={`opening ${bar.one.kind}`} style={{ left: `${(100 * (bar.from - start)) / (end - start)}%`, width: `${(100 * (bar.to - bar.from)) / (end - start)}%` }} />)}
      </span>
      <span className="said">{said}</span>
    </li>
  );
}

function Rules({ assetId, may }: { assetId: number; may: boolean }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const rules = useRules(assetId);
  const job = useJob();
  const remove = (one: Rule) => job.run(async () => {
    try { await call(`/windows/${one.window_id}`, { method: "DELETE", version: one.version }); } finally { await refreshPlans(); }
  });
  return (
    <section className="panel stack">
      <h2>{t("pl.rules")}</h2>
      <Refused problem={job.problem} />
      <Await query={rules}>
        {(items) => items.length === 0 ? <p className="soft">{t("pl.noRules")}</p> : (
          <ul className="plain-list">
            {items.map((one) => (
              <li key={one.window_id} className="row wrap">
                <span><strong>{code("windowKind", one.kind)}</strong> {ruleText(one, speech)} · {t("pl.costH", { cost: number(one.cost_h, speech) })} {one.note}</span>
                {may && <Button size="xs" variant="default" aria-label={`${t("pl.remove")} ${ruleText(one, speech)}`} onClick={() => void remove(one)}>{t("pl.remove")}</Button>}
              </li>
            ))}
          </ul>
        )}
      </Await>
      {may && <Add assetId={assetId} />}
    </section>
  );
}

function ruleText(rule: Rule, speech: Speech): string {
  if (!rule.weekly) return `${fullMoment(rule.begins ?? "", speech)} – ${fullMoment(rule.ends ?? "", speech)}`;
  const week = rule.weekly;
  const days = week.weekdays.map((day) => speech.code("weekday", day)).join(", ");
  return speech.t(week.every_weeks === 1 ? "pl.weekly" : "pl.everyWeeks", { days, from: clockText(week.opens_min), to: clockText(week.opens_min + week.lasts_min), zone: week.zone, n: week.every_weeks });
}

function clockText(minutes: number): string {
  const at = minutes % 1440;
  return `${String(Math.floor(at / 60)).padStart(2, "0")}:${String(at % 60).padStart(2, "0")}`;
}

function minuteOf(clock: string): number {
  const [hours = 0, minutes = 0] = clock.split(":").map(Number);
  return 60 * hours + minutes;
}

function Add({ assetId }: { assetId: number }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const job = useJob();
  const today = new Date(plantNow()).toISOString().slice(0, 10);
  const [form, setForm] = useState({ kind: "window", form: "weekly", from: "22:00", to: "06:00", first: today, begins: `${today}T08:00`, ends: `${today}T16:00`, note: "" });
  const [days, setDays] = useState<string[]>(["5"]);
  const [cost, setCost] = useState(0);
  const field = (name: keyof typeof form, label: string, type: string) => (
    <TextInput type={type} label={label} value={form[name]} onChange={(event) => setForm({ ...form, [name]: event.currentTarget.value })} />
  );
  const opens = minuteOf(form.from);
  const lasts = ((minuteOf(form.to) - opens + 1440) % 1440) || 1440;
  const good = form.form === "weekly" ? days.length > 0 && Boolean(form.first && form.from && form.to) : Boolean(form.begins && form.ends);
  const when = () => form.form === "weekly"
    ? { weekly: { zone: speech.zone, weekdays: days.map(Number).sort(), opens_min: opens, lasts_min: lasts, first_day: form.first } }
    : { begins: localTime(form.begins, speech.zone).toISOString(), ends: localTime(form.ends, speech.zone).toISOString() };
  const save = () => job.run(async () => {
    await call("/windows", { method: "POST", body: { asset_id: assetId, kind: form.kind, cost_h: cost, note: form.note, ...when() } });
    await refreshPlans();
  });
  return (
    <fieldset className="stack" style={{ border: 0, padding: 0, margin: 0, minWidth: 0 }}>
      <legend><strong>{t("pl.add")}</strong></legend>
      <div className="row wrap" style={{ alignItems: "flex-start" }}>
        <NativeSelect label={t("pl.kind")} value={form.kind} onChange={(event) => setForm({ ...form, kind: event.currentTarget.value })} data={["window", "shutdown"].map((one) => ({ value: one, label: code("windowKind", one) }))} />
        <NativeSelect label={t("pl.form")} value={form.form} onChange={(event) => setForm({ ...form, form: event.currentTarget.value })} data={[{ value: "weekly", label: t("pl.formWeekly") }, { value: "once", label: t("pl.formOnce") }]} />
        {form.form === "weekly" ? <>{field("from", t("pl.from"), "time")}{field("to", t("pl.to"), "time")}{field("first", t("pl.first"), "date")}</> : <>{field("begins", t("pl.from"), "datetime-local")}{field("ends", t("pl.to"), "datetime-local")}</>}
        <NumberInput label={t("pl.cost")} min={0} value={cost} onChange={(value) => setCost(Number(value))} style={{ maxWidth: 160 }} />
        {field("note", t("pl.note"), "text")}
      </div>
      {form.form === "weekly" && <Boxes label={t("pl.days")} all={DAYS} chosen={days} change={setDays} words={(one) => code("weekday", one)} />}
      <Refused problem={job.problem} />
      <div className="row"><Button loading={job.busy} disabled={!good} onClick={() => void save()}>{t("pl.add")}</Button></div>
    </fieldset>
  );
}

/** The instant at which a day begins on the plant's wall clock. */
function localMidnight(day: string, zone: string): Date {
  return localTime(`${day}T00:00`, zone);
}

function localTime(text: string, zone: string): Date {
  const guess = Date.parse(`${text}:00Z`);
  const first = guess - offset(guess, zone);
  return new Date(guess - offset(first, zone));
}

/** How far the zone is ahead of UTC at an instant, in ms. */
function offset(at: number, zone: string): number {
  if (!Number.isFinite(at)) return 0;
  const parts = new Intl.DateTimeFormat("en-CA", { timeZone: zone, hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" }).formatToParts(at);
  const of = (type: string) => Number(parts.find((part) => part.type === type)?.value);
  return Date.UTC(of("year"), of("month") - 1, of("day"), of("hour"), of("minute"), of("second")) - Math.floor(at / 1000) * 1000;
}
