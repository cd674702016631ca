// The people that orders are given to: who is there, what they can, what ends soon; and teams.
import { useState } from "react";
import { Button, TextInput } from "@mantine/core";
import { useNow } from "../api/clock";
import { call } from "../api/client";
import { refreshPeople, usePeople, type Held, type Person, type Shift } from "../api/people";
import type { Me } from "../api/types";
import { useSpeech, type Speech } from "../i18n";
import { fullMoment, moment } from "../i18n/format";
import { ToneMark, type Tone } from "../parts/marks";
import { Head, Refused, useJob } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";
import { go } from "../router";
import { ROW } from "./list_keys";
import { PersonPage } from "./person";
import { Teams } from "./teams";

const DAY_MS = 86_400_000;
const NEAR_DAYS = 30;
const PLANNERS = ["planner", "manager", "admin"];

export default function People({ path, me }: { path: string[]; me: Me }) {
  const { t } = useSpeech();
  const [place] = path;
  const people = usePeople();
  const may = PLANNERS.includes(me.role);
  if (place === "new") return may ? <NewPerson /> : <Empty title={t("app.notFound")} />;
  return (
    <Await query={people}>
      {(items) => {
        if (!place) return <List items={items} me={me} may={may} />;
        const found = items.find((one) => one.engineer_id === Number(place));
        return found ? <PersonPage key={place} person={found} may={may} /> : <Empty title={t("app.notFound")} />;
      }}
    </Await>
  );
}

export const SKILLS = ["mechanical", "electrical", "instrumentation", "vibration", "process", "lubrication", "machining", "engine"];

export function skillText(skill: string, speech: Speech): string {
  return speech.code("skill", skill);
}

/** Monday to Friday of one length are said once. */
export function shiftsText(shifts: Shift[], speech: Speech): string {
  if (shifts.length === 0) return speech.t("people.always");
  const days = new Map<string, number[]>();
  for (const { weekday, starts, ends } of [...shifts].sort((one, other) => one.weekday - other.weekday)) {
    const hours = `${starts}–${ends}`;
    days.set(hours, [...(days.get(hours) ?? []), weekday]);
  }
  return [...days].map(([hours, on]) => `${daysText(on, speech)} ${hours}`).join("; ");
}

function daysText(days: number[], speech: Speech): string {
  const name = (day: number | undefined) => speech.code("weekdayShort", String(day));
  const last = days.at(-1) ?? 0;
  const inARow = days.length > 2 && last - (days[0] ?? 0) === days.length - 1;
  return inARow ? `${name(days[0])}–${name(last)}` : days.map(name).join(", ");
}

export function Certificate({ held }: { held: Held }) {
  const speech = useSpeech();
  const now = useNow();
  const { t } = speech;
  if (held.valid_until === null) return <span>{held.code}</span>;
  const days = (Date.parse(held.valid_until) - now) / DAY_MS;
  const tone: Tone = days <= 0 ? "alarm" : days <= NEAR_DAYS ? "watch" : "calm";
  const words = days <= 0 ? t("people.ended") : days <= NEAR_DAYS ? t("people.endsIn", { n: Math.ceil(days) }) : t("people.until", { at: new Intl.DateTimeFormat(speech.language, { timeZone: speech.zone, dateStyle: "medium" }).format(new Date(held.valid_until)) });
  return <span title={fullMoment(held.valid_until, speech)}>{tone === "calm" ? `${held.code} ${words}` : <ToneMark tone={tone}>{held.code}: {words}</ToneMark>}</span>;
}

function Presence({ one }: { one: Person }) {
  const speech = useSpeech();
  const now = useNow();
  const { t } = speech;
  const away = one.absences.find((each) => Date.parse(each.begins) <= now && now < Date.parse(each.ends));
  const called = one.on_call.some((each) => Date.parse(each.begins) <= now && now < Date.parse(each.ends));
  const next = one.absences.find((each) => Date.parse(each.begins) > now);
  return (
    <span className="stack tight">
      {away ? <ToneMark tone="watch">{t("people.away", { why: speech.code("absence", away.kind), until: moment(away.ends, now, speech) })}</ToneMark> : <span>{t(one.on_shift ? "people.here" : "people.offShift")}</span>}
      {called && <span className="chip accent">{t("people.onCall")}</span>}
      {!away && next && <span className="soft small">{t("people.awayFrom", { why: speech.code("absence", next.kind), at: moment(next.begins, now, speech) })}</span>}
    </span>
  );
}

function List({ items, me, may }: { items: Person[]; me: Me; may: boolean }) {
  const speech = useSpeech();
  const { t } = speech;
  return (
    <>
      <Head title={t("people.title")} lead={t("people.lead")}>{may && <Button component="a" href="#/people/new">{t("people.new")}</Button>}</Head>
      {items.length === 0 ? <div className="panel"><Empty title={t("people.none")} hint={t("people.noneHint")} /></div> : (
        <div className="scroll">
          <table className="list cards">
            <thead>
              <tr>
                <th scope="col">{t("people.person")}</th><th scope="col">{t("people.presence")}</th><th scope="col">{t("people.skills")}</th>
                <th scope="col">{t("people.shifts")}</th><th scope="col">{t("people.certificates")}</th><th scope="col" className="num">{t("people.inHand")}</th>
              </tr>
            </thead>
            <tbody>
              {items.map((one) => (
                <tr key={one.engineer_id}>
                  <th scope="row"><a className="title" href={`#/people/${one.engineer_id}`} {...{ [ROW]: "" }}>{one.name}</a> {one.login && <code className="soft small">{one.login}</code>}</th>
                  <td data-label={t("people.presence")}><Presence one={one} /></td>
                  <td data-label={t("people.skills")}>{Object.entries(one.skills).map(([skill, level]) => `${skillText(skill, speech)} (${speech.code("level", String(level))})`).join(", ") || "–"}</td>
                  <td data-label={t("people.shifts")}>{shiftsText(one.shifts, speech)}</td>
                  <td data-label={t("people.certificates")}>{one.certificates.length === 0 ? "–" : <span className="stack tight">{one.certificates.map((held) => <Certificate key={held.code} held={held} />)}</span>}</td>
                  <td data-label={t("people.inHand")} className="num">{one.open_jobs}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {may && <Teams me={me} />}
    </>
  );
}

function NewPerson() {
  const { t } = useSpeech();
  const job = useJob();
  const [login, setLogin] = useState("");
  const [name, setName] = useState("");
  const save = () => job.run(async () => {
    const made = await call<Person>("/engineers", { method: "POST", body: { login: login.trim(), name: name.trim() } });
    await refreshPeople();
    toast(t("people.saved", { name: made.name }));
    go(`/people/${made.engineer_id}`, "replace");
  });
  return (
    <>
      <Head title={t("people.new")} lead={t("people.newLead")} back={t("people.title")} backTo="#/people" />
      <form className="panel stack" onSubmit={(event) => { event.preventDefault(); void save(); }}>
        <div className="row" style={{ alignItems: "flex-end" }}>
          <TextInput label={t("people.login")} withAsterisk maxLength={64} value={login} onChange={(event) => setLogin(event.currentTarget.value)} />
          <TextInput label={t("people.name")} withAsterisk maxLength={200} value={name} onChange={(event) => setName(event.currentTarget.value)} />
        </div>
        <Refused problem={job.problem} />
        <div><Button type="submit" loading={job.busy} disabled={!login.trim() || !name.trim()}>{t("app.save")}</Button></div>
      </form>
    </>
  );
}
