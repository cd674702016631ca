// Business calendars: open hours a weekday, holidays of every form, and what a change would do.
import { useState } from "react";
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { call } from "../api/client";
import { refreshSettings, useCalendars, type Calendar, type CalendarBody, type Holiday, type SlaPreview } from "../api/settings";
import type { Me } from "../api/types";
import { useSpeech, type Speech } from "../i18n";
import { Age } from "../parts/marks";
import { useDraft } from "../parts/draft";
import { Difference, Head, isConflict, Overtaken, Refused, useJob, type Lines } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";
import { go } from "../router";
import { HolidayForm, holidayText } from "./holidays";
import { ROW } from "./list_keys";
import { History, Reach, WouldMove } from "./sla_parts";

const DAYS = ["0", "1", "2", "3", "4", "5", "6"];
const WORKDAYS = ["0", "1", "2", "3", "4"];
const SPANS = /^\s*(\d\d:\d\d\s*[-–]\s*\d\d:\d\d\s*(,\s*|$))*$/;

type Hours = Record<string, string>; // weekday → "08:00-12:00, 13:00-17:00"

export default function CalendarsPage({ id, me }: { id: string | undefined; me: Me }) {
  const { t } = useSpeech();
  const calendars = useCalendars();
  return (
    <Await query={calendars}>
      {(items) => {
        if (!id) return <List items={items} me={me} />;
        if (id === "new") return <Form calendar={null} me={me} />;
        const found = items.find((one) => one.calendar_id === Number(id));
        return found ? <Form key={id} calendar={found} me={me} /> : <Empty title={t("app.notFound")} />;
      }}
    </Await>
  );
}

function List({ items, me }: { items: Calendar[]; me: Me }) {
  const speech = useSpeech();
  const { t } = speech;
  const job = useJob();
  const may = me.role !== "planner";
  const usual = (one: Calendar) => job.run(async () => {
    await call(`/calendars/${one.calendar_id}/default`, { method: "PUT" });
    await refreshSettings();
  });
  return (
    <>
      <Head title={t("setting.calendars")} lead={t("setting.calendarsLead")} back={t("setting.title")} backTo="#/settings">
        {may && <Button component="a" href="#/settings/calendars/new">{t("cal.new")}</Button>}
      </Head>
      <Refused problem={job.problem} />
      <div className="scroll">
        <table className="list cards middle">
          <thead><tr><th scope="col">{t("cal.name")}</th><th scope="col">{t("cal.zone")}</th><th scope="col">{t("cal.hours")}</th><th scope="col" className="num">{t("cal.holidays")}</th><th scope="col">{t("cal.usual")}</th></tr></thead>
          <tbody>
            {items.map((one) => (
              <tr key={one.calendar_id}>
                <th scope="row"><a className="title" href={`#/settings/calendars/${one.calendar_id}`} {...{ [ROW]: "" }}>{one.name}</a> <span className="soft small"><Age at={one.changed_at} /></span></th>
                <td data-label={t("cal.zone")}>{one.timezone}</td>
                <td data-label={t("cal.hours")}>{week(one, speech)}</td>
                <td data-label={t("cal.holidays")} className="num">{one.holidays.length}</td>
                <td data-label={t("cal.usual")}>
                  {one.is_default ? <span className="chip accent">{t("cal.isUsual")}</span> : may ? <Button size="xs" variant="default" loading={job.busy} aria-label={t("cal.makeUsualOf", { name: one.name })} onClick={() => void usual(one)}>{t("cal.makeUsual")}</Button> : "–"}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function written(hours: CalendarBody["hours"]): Hours {
  return Object.fromEntries(DAYS.map((day) => [day, (hours[day] ?? []).map(([from, to]) => `${from}-${to}`).join(", ")]));
}

function parsed(hours: Hours): CalendarBody["hours"] {
  const spans = (text: string) => text.split(",").map((one) => one.trim()).filter(Boolean).map((one) => one.split(/\s*[-–]\s*/) as [string, string]);
  return Object.fromEntries(DAYS.filter((day) => hours[day]?.trim()).map((day) => [day, spans(hours[day] ?? "")]));
}

function week(calendar: CalendarBody, speech: Speech): string {
  const hours = written(calendar.hours);
  return DAYS.filter((day) => hours[day]).map((day) => `${speech.code("weekday", day)} ${hours[day]}`).join("; ") || speech.t("cal.never");
}

function linesOfCalendar(body: CalendarBody, speech: Speech): Lines {
  const hours = written(body.hours);
  return {
    [speech.t("cal.name")]: body.name,
    [speech.t("cal.zone")]: body.timezone,
    ...Object.fromEntries(DAYS.map((day) => [speech.code("weekday", day), hours[day] ?? ""])),
    [speech.t("cal.holidays")]: body.holidays.map((one) => holidayText(one, speech)).join("; "),
  };
}

type Draft = { name: string; timezone: string; hours: Hours; holidays: Holiday[] };

function typed({ name, timezone, hours, holidays }: Calendar): Draft {
  return { name, timezone, hours: written(hours), holidays };
}

function fresh(timezone: string): Draft {
  return { name: "", timezone, hours: written(Object.fromEntries(WORKDAYS.map((day) => [day, [["08:00", "17:00"]]]))), holidays: [] };
}

function Form({ calendar, me }: { calendar: Calendar | null; me: Me }) {
  const speech = useSpeech();
  const { t } = speech;
  const job = useJob();
  const { draft, set, base, version, theirs, take, keep, saved } = useDraft(calendar, typed, () => fresh(speech.zone));
  const { name, timezone, hours, holidays } = draft;
  const [preview, setPreview] = useState<SlaPreview | null>(null);
  const [reach, setReach] = useState("new");
  const may = me.role !== "planner";
  const id = calendar?.calendar_id;
  const good = DAYS.every((day) => SPANS.test(hours[day] ?? ""));
  const body: CalendarBody = { name, timezone, hours: good ? parsed(hours) : {}, holidays };
  const look = () => job.run(async () => setPreview(await call<SlaPreview>(`/calendars/${id}/preview`, { method: "POST", body })));
  const save = () => job.run(async () => {
    try {
      const made = id
        ? await call<Calendar>(`/calendars/${id}?reach=${reach}`, { method: "PUT", version, body })
        : await call<Calendar>("/calendars", { method: "POST", body });
      saved(made);
      await refreshSettings();
      toast(t("cal.saved"));
      go(`/settings/calendars/${made.calendar_id}`, "replace");
    } catch (error) {
      if (id && isConflict(error as never)) await refreshSettings(); // what somebody else made of it is to be seen
      throw error;
    }
  });
  const settle = (way: () => void) => {
    way();
    job.clear();
  };
  return (
    <>
      <Head title={calendar?.name ?? t("cal.new")} lead={t("cal.lead")} back={t("setting.calendars")} backTo="#/settings/calendars" />
      <div className="stack">
        <fieldset disabled={!may} className="stack" style={{ border: 0, padding: 0, margin: 0, minWidth: 0 }}>
          <legend className="hidden">{t("cal.hours")}</legend>
          <section className="panel stack">
            <div className="row" style={{ alignItems: "flex-start" }}>
              <TextInput label={t("cal.name")} withAsterisk maxLength={64} value={name} onChange={(event) => set({ ...draft, name: event.currentTarget.value })} />
              <TextInput label={t("cal.zone")} withAsterisk placeholder="Europe/Berlin" value={timezone} onChange={(event) => set({ ...draft, timezone: event.currentTarget.value })} />
            </div>
            <h2>{t("cal.hours")}</h2>
            <p className="soft small">{t("cal.hoursHint")}</p>
            <div className="tiles" style={{ gridTemplateColumns: "repeat(auto-fill, minmax(210px, 1fr))", marginBottom: 0 }}>
              {DAYS.map((day) => (
                <TextInput
                  key={day} label={speech.code("weekday", day)} placeholder={t("cal.shut")} value={hours[day] ?? ""}
                  error={SPANS.test(hours[day] ?? "") ? undefined : t("cal.hoursBad")} onChange={(event) => set({ ...draft, hours: { ...hours, [day]: event.currentTarget.value } })}
                />
              ))}
            </div>
          </section>
          <Holidays items={holidays} change={(next) => set({ ...draft, holidays: next })} />
        </fieldset>
        {theirs
          ? <Overtaken by={theirs.changed_by} mine={linesOfCalendar(body, speech)} theirs={linesOfCalendar(theirs, speech)} take={() => settle(take)} keep={() => settle(keep)} />
          : <Refused problem={job.problem} />}
        {calendar && <div><Button variant="default" loading={job.busy} disabled={!good} onClick={() => void look()}>{t("slas.preview")}</Button></div>}
        {preview && <WouldMove preview={preview} />}
        {base && <section className="panel stack"><h2>{t("slas.changes")}</h2><Difference was={linesOfCalendar(base, speech)} is={linesOfCalendar(body, speech)} /></section>}
        {may && (
          <section className="panel stack">
            {calendar && <Reach reach={reach} change={setReach} />}
            <div><Button loading={job.busy} disabled={!good || !name.trim()} onClick={() => void save()}>{t("app.save")}</Button></div>
          </section>
        )}
        {calendar && <History path={`/calendars/${id}`} />}
      </div>
    </>
  );
}

function Holidays({ items, change }: { items: Holiday[]; change: (next: Holiday[]) => void }) {
  const speech = useSpeech();
  const { t } = speech;
  const job = useJob();
  const [skipped, setSkipped] = useState<string[]>([]);
  const [year, setYear] = useState("");
  const years = [...new Set(items.map((one) => String(typeof one === "string" ? one : one.date ?? "").slice(0, 4)).filter(Boolean))].sort();
  const shown = items.map((one, at) => ({ one, at })).filter(({ one }) => !year || String(typeof one === "string" ? one : one.date ?? "").startsWith(year));
  const read = (file: File) => job.run(async () => {
    const found = await call<{ holidays: Holiday[]; skipped: string[] }>("/calendars/holidays", { method: "POST", body: { text: await file.text() } });
    change([...items, ...found.holidays]);
    setSkipped(found.skipped);
  });
  return (
    <section className="panel stack">
      <h2>{t("cal.holidays")}</h2>
      {years.length > 1 && <NativeSelect label={t("cal.year")} value={year} data={[{ value: "", label: t("cal.everyYear") }, ...years]} onChange={(event) => setYear(event.currentTarget.value)} style={{ maxWidth: 180 }} />}
      {items.length === 0 && <p className="soft">{t("cal.noHolidays")}</p>}
      <ul className="row" style={{ alignItems: "stretch" }}>
        {shown.map(({ one, at }) => (
          <li key={`${at} ${JSON.stringify(one)}`} className="chip" style={{ whiteSpace: "normal" }}>
            {holidayText(one, speech)}
            <button type="button" className="plain" style={{ minWidth: 24 }} aria-label={`${t("setting.remove")} ${holidayText(one, speech)}`} onClick={() => change(items.filter((_, i) => i !== at))}>×</button>
          </li>
        ))}
      </ul>
      <HolidayForm add={(one) => change([...items, one])} />
      <label className="stack tight">
        <span className="strong">{t("cal.import")}</span>
        <input type="file" accept=".ics,text/calendar" onChange={(event) => { const file = event.currentTarget.files?.[0]; if (file) void read(file); }} />
      </label>
      <Refused problem={job.problem} />
      {skipped.length > 0 && <div role="status" className="soft small"><p>{t("cal.skipped")}</p><ul>{skipped.map((one) => <li key={one}>{one}</li>)}</ul></div>}
    </section>
  );
}
