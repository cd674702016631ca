// One engineer: name, skills, shifts, certificates and home as one form; absences, on-call duty and the calendar one by one.
import { useState } from "react";
import { Button, NativeSelect, NumberInput, TextInput } from "@mantine/core";
import { plantNow } from "../api/clock";
import { call } from "../api/client";
import { refreshPeople, type Held, type Person, type PersonBody, type Shift, type Stretch } from "../api/people";
import { useSpeech, type Speech } from "../i18n";
import { fullMoment } from "../i18n/format";
import { localAt, momentAt } from "../i18n/zone";
import { Age } from "../parts/marks";
import { useDraft } from "../parts/draft";
import { Difference, Head, isConflict, Overtaken, Refused, useJob, type Lines } from "../parts/setting";
import { toast } from "../parts/toasts";
import { Certificate, shiftsText, SKILLS, skillText } from "./people";

const DAYS = ["0", "1", "2", "3", "4", "5", "6"];
const SPANS = /^\s*([01]\d|2[0-3]):[0-5]\d\s*[-–]\s*([01]\d|2[0-3]):[0-5]\d\s*(,\s*([01]\d|2[0-3]):[0-5]\d\s*[-–]\s*([01]\d|2[0-3]):[0-5]\d\s*)*$|^\s*$/;
const LEVELS = ["1", "2", "3"];
const KINDS = ["leave", "sick", "training", "other"];
const HOUR_MS = 3600_000;

type Hours = Record<string, string>;
type Draft = { name: string; skills: [string, number][]; hours: Hours; certificates: Held[]; x_m: number; y_m: number };

function typed(one: Person): Draft {
  const on = (day: string) => one.shifts.filter((each) => String(each.weekday) === day).map((each) => `${each.starts}-${each.ends}`).join(", ");
  return {
    name: one.name, skills: Object.entries(one.skills), hours: Object.fromEntries(DAYS.map((day) => [day, on(day)])),
    certificates: one.certificates.map(({ code, valid_until }) => ({ code, valid_until })), x_m: one.x_m, y_m: one.y_m,
  };
}

function shiftsOf(hours: Hours): Shift[] {
  return DAYS.flatMap((day) => (hours[day] ?? "").split(",").map((span) => span.trim()).filter(Boolean).map((span) => {
    const [starts = "", ends = ""] = span.split(/\s*[-–]\s*/);
    return { weekday: Number(day), starts, ends };
  }));
}

function bodyOf({ name, skills, hours, certificates, x_m, y_m }: Draft): PersonBody {
  return { name: name.trim(), skills: Object.fromEntries(skills), shifts: shiftsOf(hours), certificates: certificates.map((one) => ({ ...one, code: one.code.trim() })), x_m, y_m };
}

function linesOf(draft: Draft, speech: Speech): Lines {
  const { t, code } = speech;
  const held = draft.certificates.map((one) => `${one.code} ${one.valid_until ? localAt(one.valid_until, speech.zone).slice(0, 10) : t("people.forEver")}`);
  return {
    [t("people.name")]: draft.name,
    [t("people.skills")]: draft.skills.map(([skill, level]) => `${skillText(skill, speech)} (${code("level", String(level))})`).join(", "),
    [t("people.shifts")]: shiftsText(shiftsOf(draft.hours), speech),
    [t("people.certificates")]: held.join(", "),
    [t("people.home")]: `${draft.x_m} / ${draft.y_m} m`,
  };
}

export function PersonPage({ person, may }: { person: Person; may: boolean }) {
  const { t } = useSpeech();
  return (
    <>
      <Head title={person.name} lead={t("people.oneLead")} back={t("people.title")} backTo="#/people" />
      <div className="stack">
        <Form person={person} may={may} />
        <Times person={person} table="absences" items={person.absences} may={may} />
        <Times person={person} table="on-call" items={person.on_call} may={may} />
        {may && <Feed person={person} />}
      </div>
    </>
  );
}

function Form({ person, may }: { person: Person; may: boolean }) {
  const speech = useSpeech();
  const { t } = speech;
  const job = useJob();
  const { draft, set, base, version, theirs, dirty, take, keep, saved } = useDraft(person, typed, () => typed(person));
  const put = (some: Partial<Draft>) => set({ ...draft, ...some });
  const codes = draft.certificates.map((one) => one.code.trim());
  const good = DAYS.every((day) => SPANS.test(draft.hours[day] ?? "")) && codes.every(Boolean) && new Set(codes).size === codes.length && draft.name.trim() !== "";
  const save = () => job.run(async () => {
    try {
      const made = await call<Person>(`/engineers/${person.engineer_id}`, { method: "PUT", version, body: bodyOf(draft) });
      saved(made);
      toast(t("people.saved", { name: made.name }));
    } catch (error) {
      if (!isConflict(error as never)) throw error;
      await refreshPeople(); // what somebody else made of it is to be seen
      throw error;
    }
    await refreshPeople();
  });
  const settle = (way: () => void) => {
    way();
    job.clear();
  };
  return (
    <form className="stack" aria-label={person.name} onSubmit={(event) => { event.preventDefault(); void save(); }}>
      <fieldset disabled={!may} className="stack" style={{ border: 0, padding: 0, margin: 0, minWidth: 0 }}>
        <legend className="hidden">{person.name}</legend>
        <section className="panel stack">
          <TextInput label={t("people.name")} withAsterisk maxLength={200} value={draft.name} style={{ maxWidth: 360 }} onChange={(event) => put({ name: event.currentTarget.value })} />
          <Skills items={draft.skills} change={(skills) => put({ skills })} />
        </section>
        <Week hours={draft.hours} change={(hours) => put({ hours })} />
        <Certificates items={draft.certificates} change={(certificates) => put({ certificates })} />
        <section className="panel stack">
          <h2>{t("people.home")}</h2>
          <p className="soft small">{t("people.homeHint")}</p>
          <div className="row">
            <NumberInput label={t("people.east")} w={150} hideControls value={draft.x_m} onChange={(value) => put({ x_m: Number(value) || 0 })} />
            <NumberInput label={t("people.north")} w={150} hideControls value={draft.y_m} onChange={(value) => put({ y_m: Number(value) || 0 })} />
          </div>
        </section>
      </fieldset>
      {theirs
        ? <Overtaken by={theirs.changed_by} mine={linesOf(draft, speech)} theirs={linesOf(typed(theirs), speech)} take={() => settle(take)} keep={() => settle(keep)} />
        : <Refused problem={job.problem} />}
      {may && (
        <section className="panel stack">
          {base && dirty && <Difference was={linesOf(typed(base), speech)} is={linesOf(draft, speech)} />}
          <div><Button type="submit" loading={job.busy} disabled={!good || !dirty}>{t("app.save")}</Button></div>
        </section>
      )}
    </form>
  );
}

function Skills({ items, change }: { items: [string, number][]; change: (next: [string, number][]) => void }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const [fresh, setFresh] = useState("");
  const known = SKILLS.filter((one) => !items.some(([skill]) => skill === one));
  return (
    <fieldset className="stack tight" style={{ border: 0, padding: 0, margin: 0 }}>
      <legend className="strong">{t("people.skills")}</legend>
      {items.length === 0 && <p className="soft">{t("people.noSkills")}</p>}
      {items.map(([skill, level], at) => (
        <div className="row" key={skill}>
          <span style={{ minWidth: 150 }}>{skillText(skill, speech)}</span>
          <NativeSelect
            aria-label={t("people.levelOf", { skill: skillText(skill, speech) })} value={String(level)} data={LEVELS.map((value) => ({ value, label: code("level", value) }))}
            onChange={(event) => change(items.map((one, row) => (row === at ? [skill, Number(event.currentTarget.value)] : one)))}
          />
          <Button size="xs" variant="default" aria-label={`${t("setting.remove")} ${skillText(skill, speech)}`} onClick={() => change(items.filter((_, row) => row !== at))}>{t("setting.remove")}</Button>
        </div>
      ))}
      <div className="row" style={{ alignItems: "flex-end" }}>
        <NativeSelect label={t("people.addSkill")} value={fresh} data={[{ value: "", label: "–" }, ...known.map((value) => ({ value, label: skillText(value, speech) }))]} onChange={(event) => setFresh(event.currentTarget.value)} />
        <Button variant="default" disabled={!fresh} onClick={() => { change([...items, [fresh, 1]]); setFresh(""); }}>{t("people.add")}</Button>
      </div>
    </fieldset>
  );
}

function Week({ hours, change }: { hours: Hours; change: (next: Hours) => void }) {
  const { t, code } = useSpeech();
  return (
    <section className="panel stack">
      <h2>{t("people.shifts")}</h2>
      <p className="soft small">{t("people.shiftsHint")}</p>
      <div className="tiles" style={{ gridTemplateColumns: "repeat(auto-fill, minmax(210px, 1fr))", marginBottom: 0 }}>
        {DAYS.map((day) => (
          <TextInput
            key={day} label={code("weekday", day)} placeholder={t("people.off")} value={hours[day] ?? ""}
            error={SPANS.test(hours[day] ?? "") ? undefined : t("cal.hoursBad")} onChange={(event) => change({ ...hours, [day]: event.currentTarget.value })}
          />
        ))}
      </div>
    </section>
  );
}

function Certificates({ items, change }: { items: Held[]; change: (next: Held[]) => void }) {
  const speech = useSpeech();
  const { t } = speech;
  const put = (at: number, some: Partial<Held>) => change(items.map((one, row) => (row === at ? { ...one, ...some } : one)));
  return (
    <section className="panel stack">
      <h2>{t("people.certificates")}</h2>
      {items.length === 0 && <p className="soft">{t("people.noCertificates")}</p>}
      {items.map((one, at) => (
        <div className="row" role="group" aria-label={t("people.certificate", { n: at + 1 })} key={at} style={{ alignItems: "flex-end" }}>
          <TextInput label={t("people.code")} maxLength={64} value={one.code} onChange={(event) => put(at, { code: event.currentTarget.value })} />
          <TextInput
            type="date" label={t("people.validUntil")} value={one.valid_until ? localAt(one.valid_until, speech.zone).slice(0, 10) : ""}
            onChange={(event) => put(at, { valid_until: event.currentTarget.value ? momentAt(`${event.currentTarget.value}T23:59`, speech.zone) : null })}
          />
          <Button variant="default" aria-label={`${t("setting.remove")} ${one.code}`} onClick={() => change(items.filter((_, row) => row !== at))}>{t("setting.remove")}</Button>
          {one.code && <Certificate held={one} />}
        </div>
      ))}
      <p className="soft small">{t("people.certificatesHint")}</p>
      <div><Button size="xs" variant="default" onClick={() => change([...items, { code: "", valid_until: null }])}>{t("people.addCertificate")}</Button></div>
    </section>
  );
}

function Times({ person, table, items, may }: { person: Person; table: "absences" | "on-call"; items: Stretch[]; may: boolean }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const job = useJob();
  const start = () => localAt(Math.ceil(plantNow() / HOUR_MS) * HOUR_MS, speech.zone);
  const [begins, setBegins] = useState(start);
  const [ends, setEnds] = useState("");
  const [kind, setKind] = useState("leave");
  const [note, setNote] = useState("");
  const away = table === "absences";
  const title = t(away ? "people.absences" : "people.onCallTimes");
  const told = (one: Stretch) => `${fullMoment(one.begins, speech)} – ${fullMoment(one.ends, speech)}`;
  const add = () => job.run(async () => {
    const times = { owner_id: person.engineer_id, begins: momentAt(begins, speech.zone), ends: momentAt(ends, speech.zone) };
    await call(`/dispatch/times/${table}`, { method: "POST", body: away ? { ...times, kind, note: note.trim() } : times });
    setEnds("");
    setNote("");
    await refreshPeople();
  });
  const remove = (one: Stretch) => job.run(async () => {
    try {
      await call(`/dispatch/times/${table}/${one.ident}`, { method: "DELETE" });
    } finally {
      await refreshPeople();
    }
  });
  return (
    <section className="panel stack" aria-label={title}>
      <h2>{title}</h2>
      {items.length === 0 && <p className="soft">{t(away ? "people.noAbsences" : "people.noOnCall")}</p>}
      <ul className="stack tight">
        {items.map((one) => (
          <li key={one.ident} className="row">
            <span>{away && <strong>{code("absence", one.kind)} </strong>}{told(one)}{one.note && <span className="soft"> · {one.note}</span>}</span>
            {may && <Button size="xs" variant="default" disabled={job.busy} aria-label={`${t("setting.remove")} ${told(one)}`} onClick={() => void remove(one)}>{t("setting.remove")}</Button>}
          </li>
        ))}
      </ul>
      {may && (
        <form className="row" style={{ alignItems: "flex-end" }} onSubmit={(event) => { event.preventDefault(); void add(); }}>
          {away && <NativeSelect label={t("people.why")} value={kind} data={KINDS.map((value) => ({ value, label: code("absence", value) }))} onChange={(event) => setKind(event.currentTarget.value)} />}
          <TextInput type="datetime-local" label={t("people.from")} value={begins} onChange={(event) => setBegins(event.currentTarget.value)} />
          <TextInput type="datetime-local" label={t("people.to")} value={ends} error={ends && ends <= begins ? t("people.turned") : undefined} onChange={(event) => setEnds(event.currentTarget.value)} />
          {away && <TextInput label={t("people.note")} maxLength={1000} value={note} onChange={(event) => setNote(event.currentTarget.value)} />}
          <Button type="submit" variant="default" loading={job.busy} disabled={!begins || !ends || ends <= begins}>{t("people.add")}</Button>
        </form>
      )}
      <Refused problem={job.problem} />
    </section>
  );
}

function Feed({ person }: { person: Person }) {
  const { t } = useSpeech();
  const job = useJob();
  const [address, setAddress] = useState("");
  const path = `/engineers/${person.engineer_id}/calendar`;
  const make = () => job.run(async () => {
    const made = await call<{ path: string }>(path, { method: "POST" });
    setAddress(new URL(made.path, location.href).href);
    await refreshPeople();
  });
  const revoke = () => job.run(async () => {
    await call(path, { method: "DELETE" });
    setAddress("");
    await refreshPeople();
  });
  return (
    <section className="panel stack" aria-label={t("people.feed")}>
      <h2>{t("people.feed")}</h2>
      <p className="soft">{t("people.feedLead")}</p>
      {person.feed_since ? <p>{t("people.feedSince")} <Age at={person.feed_since} /></p> : <p className="soft">{t("people.noFeed")}</p>}
      {address && <TextInput readOnly label={t("people.feedOnce")} value={address} onFocus={(event) => event.currentTarget.select()} />}
      <Refused problem={job.problem} />
      <div className="row">
        <Button variant="default" loading={job.busy} onClick={() => void make()}>{t(person.feed_since ? "people.feedAnew" : "people.feedMake")}</Button>
        {person.feed_since && <Button variant="default" loading={job.busy} onClick={() => void revoke()}>{t("people.feedEnd")}</Button>}
      </div>
    </section>
  );
}
