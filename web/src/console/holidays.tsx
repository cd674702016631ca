// A holiday in words, and the form that adds one: a date, a day of every year, a weekday of a month, days after Easter.
import { useState } from "react";
import { Button, NativeSelect, NumberInput, TextInput } from "@mantine/core";
import type { Holiday } from "../api/settings";
import { useSpeech, type Speech } from "../i18n";

const FORMS = ["date", "yearly", "nth", "easter"] as const;
type Form = (typeof FORMS)[number];
const MONTHS = Array.from({ length: 12 }, (_, at) => String(at + 1));
const DAYS = ["0", "1", "2", "3", "4", "5", "6"];
const NTH = ["1", "2", "3", "4", "5", "-1"];

export function holidayText(one: Holiday, speech: Speech): string {
  const { t, code } = speech;
  if (typeof one === "string") return one;
  const named = one.name ? ` ${String(one.name)}` : "";
  const half = Array.isArray(one.hours) ? ` (${(one.hours as string[][]).map((span) => span.join("–")).join(", ")})` : "";
  if (one.yearly) return t("cal.yearlyOn", { day: String(one.yearly) }) + named + half;
  if (one.easter !== undefined) return t("cal.easterPlus", { n: String(one.easter) }) + named + half;
  if (one.month) return t("cal.nthOf", { nth: code("nth", String(one.nth)), day: code("weekday", String(one.weekday)), month: String(one.month) }) + named + half;
  return String(one.date ?? JSON.stringify(one)) + named + half;
}

export function HolidayForm({ add }: { add: (one: Holiday) => void }) {
  const { t, code } = useSpeech();
  const [form, setForm] = useState<Form>("date");
  const [date, setDate] = useState("");
  const [month, setMonth] = useState("1");
  const [weekday, setWeekday] = useState("0");
  const [nth, setNth] = useState("1");
  const [easter, setEaster] = useState<number | string>(1);
  const made: Record<Form, Holiday | null> = {
    date: date || null,
    yearly: date ? { yearly: date.slice(5) } : null,
    nth: { month: Number(month), weekday: Number(weekday), nth: Number(nth) },
    easter: { easter: Number(easter) },
  };
  const one = made[form];
  return (
    <div className="row" role="group" aria-label={t("cal.addHoliday")} style={{ alignItems: "flex-end" }}>
      <NativeSelect label={t("cal.form")} value={form} data={FORMS.map((value) => ({ value, label: code("holidayForm", value) }))} onChange={(event) => setForm(event.currentTarget.value as Form)} />
      {(form === "date" || form === "yearly") && <TextInput type="date" label={t("cal.date")} value={date} onChange={(event) => setDate(event.currentTarget.value)} />}
      {form === "nth" && (
        <>
          <NativeSelect label={t("cal.nth")} value={nth} data={NTH.map((value) => ({ value, label: code("nth", value) }))} onChange={(event) => setNth(event.currentTarget.value)} />
          <NativeSelect label={t("cal.weekday")} value={weekday} data={DAYS.map((value) => ({ value, label: code("weekday", value) }))} onChange={(event) => setWeekday(event.currentTarget.value)} />
          <NativeSelect label={t("cal.month")} value={month} data={MONTHS} onChange={(event) => setMonth(event.currentTarget.value)} />
        </>
      )}
      {form === "easter" && <NumberInput label={t("cal.easter")} w={170} min={-60} max={80} value={easter} onChange={setEaster} />}
      <Button size="sm" variant="default" disabled={one === null} onClick={() => { if (one !== null) add(one); }}>{t("cal.addHoliday")}</Button>
    </div>
  );
}
