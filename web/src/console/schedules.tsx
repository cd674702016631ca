// Reports by the clock: which report becomes a file when, for whom, and what the last run gave.
import { useState } from "react";
import { Button, NativeSelect } from "@mantine/core";
import { call } from "../api/client";
import { useReaders, useReportFiles, useSaved, useSchedules, type FileForm, type Reader, type ReportBody, type Saved, type Schedule } from "../api/lists";
import { queryClient } from "../api/queries";
import type { Language, Me } from "../api/types";
import { useSpeech, type Speech } from "../i18n";
import { fullMoment, number } from "../i18n/format";
import { Age, ToneMark } from "../parts/marks";
import { useDraft } from "../parts/draft";
import { Boxes, Head, isConflict, Overtaken, Refused, useJob, type Lines } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";
import { go } from "../router";
import { ROW } from "./list_keys";

const FORMS: FileForm[] = ["pdf", "xlsx", "csv"];
const RHYTHMS = ["day", "week", "month"] as const;
const HOURS = Array.from({ length: 24 }, (_, hour) => ({ value: String(hour), label: `${String(hour).padStart(2, "0")}:00` }));
type Draft = Pick<Schedule, "format" | "locale" | "every" | "hour" | "recipients">;

export default function Schedules({ id, me }: { id: string | undefined; me: Me }) {
  const { t } = useSpeech();
  const may = me.role !== "engineer";
  const schedules = useSchedules();
  const readers = useReaders(may);
  if (id === "new") return may ? <Form schedule={null} readers={readers.data ?? []} me={me} /> : <Empty title={t("app.notFound")} />;
  return (
    <Await query={schedules}>
      {(items) => {
        if (!id) return <List items={items} readers={readers.data ?? []} me={me} />;
        const found = items.find((one) => one.schedule_id === Number(id));
        if (!found) return <Empty title={t("app.notFound")} />;
        return owns(found, me) ? <Form key={found.schedule_id} schedule={found} readers={readers.data ?? []} me={me} /> : <Received schedule={found} />;
      }}
    </Await>
  );
}

function owns(one: Schedule, me: Me): boolean {
  return one.owner_id === me.user_id || me.role === "manager" || me.role === "admin";
}

function choice({ format, locale, every, hour, recipients }: Draft): Draft {
  return { format, locale, every, hour, recipients: [...recipients].sort((one, other) => one - other) };
}

function rhythm(one: Draft, { t, code }: Speech): string {
  return t("sched.at", { every: code("rhythm", one.every), hour: `${String(one.hour).padStart(2, "0")}:00` });
}

function forWhom(one: Draft, readers: Reader[], speech: Speech): string {
  if (readers.length === 0) return speech.t("sched.people", { n: one.recipients.length });
  return one.recipients.map((id) => readers.find((each) => each.user_id === id)?.name ?? `#${id}`).join(", ");
}

async function refresh(): Promise<void> {
  await queryClient.invalidateQueries({ queryKey: ["schedule"] });
}

function Outcome({ one }: { one: Schedule }) {
  const { t } = useSpeech();
  if (one.last_at === null) return <span className="soft">{t("sched.never")}</span>;
  return <span>{one.last_error ? <ToneMark tone="watch">{one.last_error}</ToneMark> : t("sched.made")} · <Age at={one.last_at} /></span>;
}

function List({ items, readers, me }: { items: Schedule[]; readers: Reader[]; me: Me }) {
  const speech = useSpeech();
  const { t } = speech;
  const job = useJob();
  const pause = (one: Schedule) => job.run(async () => {
    try {
      await call(`/reports/schedules/${one.schedule_id}`, { method: "PATCH", version: one.version, body: { paused: !one.paused } });
    } finally {
      await refresh(); // a refusal too: what somebody else made of it is to be seen
    }
  });
  return (
    <>
      <Head title={t("sched.title")} lead={t("sched.lead")} back={t("report.title")} backTo="#/reports">
        {me.role !== "engineer" && <Button component="a" href="#/reports/schedules/new">{t("sched.new")}</Button>}
      </Head>
      <Refused problem={job.problem} />
      {items.length === 0 ? <div className="panel"><Empty title={t("sched.empty")} hint={t("sched.emptyHint")} /></div> : (
        <div className="scroll">
          <table className="list cards middle">
            <thead>
              <tr>
                <th scope="col">{t("sched.report")}</th><th scope="col">{t("sched.when")}</th><th scope="col">{t("sched.to")}</th>
                <th scope="col">{t("sched.next")}</th><th scope="col">{t("sched.last")}</th><th scope="col">{t("setting.actions")}</th>
              </tr>
            </thead>
            <tbody>
              {items.map((one) => (
                <tr key={one.schedule_id}>
                  <th scope="row"><a className="title" href={`#/reports/schedules/${one.schedule_id}`} {...{ [ROW]: "" }}>{one.name}</a> <span className="soft small">{one.format.toUpperCase()}</span></th>
                  <td data-label={t("sched.when")}>{rhythm(one, speech)}</td>
                  <td data-label={t("sched.to")}>{forWhom(one, readers, speech)}</td>
                  <td data-label={t("sched.next")}>{one.paused ? <span className="chip">{t("sched.paused")}</span> : fullMoment(one.next_at, speech)}</td>
                  <td data-label={t("sched.last")}><Outcome one={one} /></td>
                  <td data-label={t("setting.actions")}>
                    {owns(one, me) ? <Button size="xs" variant="default" disabled={job.busy} aria-label={`${t(one.paused ? "sched.resume" : "sched.pause")} ${one.name}`} onClick={() => void pause(one)}>{t(one.paused ? "sched.resume" : "sched.pause")}</Button> : "–"}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </>
  );
}

function Received({ schedule }: { schedule: Schedule }) {
  const speech = useSpeech();
  return (
    <>
      <Head title={schedule.name} lead={rhythm(schedule, speech)} back={speech.t("sched.title")} backTo="#/reports/schedules" />
      <Files schedule={schedule} />
    </>
  );
}

function linesOf(draft: Draft, readers: Reader[], speech: Speech): Lines {
  const { t } = speech;
  return {
    [t("sched.format")]: draft.format.toUpperCase(), [t("sched.language")]: speech.code("language", draft.locale),
    [t("sched.when")]: rhythm(draft, speech), [t("sched.to")]: forWhom(draft, readers, speech),
  };
}

function Form({ schedule, readers, me }: { schedule: Schedule | null; readers: Reader[]; me: Me }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const job = useJob();
  const reports = useSaved<ReportBody>("report");
  const [report, setReport] = useState("");
  const { draft, set: setDraft, version, theirs, take, keep, saved } = useDraft<Schedule, Draft>(schedule, choice, () => (
    { format: "pdf", locale: speech.language, every: "week", hour: 6, recipients: [me.user_id] }
  ));
  const set = (some: Partial<Draft>) => setDraft({ ...draft, ...some });
  const savedId = schedule?.saved_id ?? Number(report || reports.data?.[0]?.saved_id);
  const guarded = (work: () => Promise<void>) => job.run(async () => {
    try {
      await work();
    } catch (error) {
      if (isConflict(error as never)) await refresh();
      throw error;
    }
  });
  const save = () => guarded(async () => {
    const made = schedule
      ? await call<Schedule>(`/reports/schedules/${schedule.schedule_id}`, { method: "PATCH", version, body: draft })
      : await call<Schedule>("/reports/schedules", { method: "POST", body: { saved_id: savedId, ...draft } });
    saved(made);
    await refresh();
    toast(t("stock.saved", { what: made.name }));
    if (!schedule) go(`/reports/schedules/${made.schedule_id}`, "replace");
  });
  const remove = () => guarded(async () => {
    await call(`/reports/schedules/${schedule?.schedule_id}`, { method: "DELETE", version });
    await refresh();
    go("/reports/schedules", "replace");
  });
  const settle = (way: () => void) => {
    way();
    job.clear();
  };
  return (
    <>
      <Head title={schedule?.name ?? t("sched.new")} lead={t("sched.formLead")} back={t("sched.title")} backTo="#/reports/schedules" />
      {!schedule && reports.data?.length === 0 ? <div className="panel"><Empty title={t("sched.noReports")}><a href="#/reports">{t("report.title")}</a></Empty></div> : (
        <form className="panel stack" onSubmit={(event) => { event.preventDefault(); void save(); }}>
          {!schedule && <Reports items={reports.data ?? []} chosen={String(savedId)} choose={setReport} />}
          <div className="row" style={{ alignItems: "flex-end" }}>
            <NativeSelect label={t("sched.format")} value={draft.format} data={FORMS.map((value) => ({ value, label: value.toUpperCase() }))} onChange={(event) => set({ format: event.currentTarget.value as FileForm })} />
            <NativeSelect label={t("sched.language")} value={draft.locale} data={["en", "zh"].map((value) => ({ value, label: code("language", value) }))} onChange={(event) => set({ locale: event.currentTarget.value as Language })} />
            <NativeSelect label={t("sched.every")} value={draft.every} data={RHYTHMS.map((value) => ({ value, label: code("rhythm", value) }))} onChange={(event) => set({ every: event.currentTarget.value as Schedule["every"] })} />
            <NativeSelect label={t("sched.hour")} value={String(draft.hour)} data={HOURS} onChange={(event) => set({ hour: Number(event.currentTarget.value) })} />
          </div>
          <Boxes
            label={t("sched.to")} hint={t("sched.toHint")} all={readers.map((one) => String(one.user_id))} chosen={draft.recipients.map(String)}
            change={(next) => set({ recipients: next.map(Number).sort((one, other) => one - other) })}
            words={(id) => { const one = readers.find((each) => String(each.user_id) === id); return one ? `${one.name} (${code("role", one.role)})` : `#${id}`; }}
          />
          {theirs
            ? <Overtaken by={theirs.changed_by} mine={linesOf(draft, readers, speech)} theirs={linesOf(choice(theirs), readers, speech)} take={() => settle(take)} keep={() => settle(keep)} />
            : <Refused problem={job.problem} />}
          <div className="row">
            <Button type="submit" loading={job.busy} disabled={draft.recipients.length === 0 || !savedId}>{t("app.save")}</Button>
            {schedule && <Button variant="default" loading={job.busy} onClick={() => void remove()}>{t("sched.remove")}</Button>}
          </div>
        </form>
      )}
      {schedule && <Files schedule={schedule} />}
    </>
  );
}

function Reports({ items, chosen, choose }: { items: Saved<ReportBody>[]; chosen: string; choose: (id: string) => void }) {
  const { t } = useSpeech();
  return <NativeSelect label={t("sched.report")} value={chosen} data={items.map((one) => ({ value: String(one.saved_id), label: one.name }))} onChange={(event) => choose(event.currentTarget.value)} style={{ maxWidth: 420 }} />;
}

function Files({ schedule }: { schedule: Schedule }) {
  const speech = useSpeech();
  const { t } = speech;
  const files = useReportFiles(schedule.schedule_id);
  return (
    <section className="panel stack" style={{ marginTop: 16 }}>
      <h2>{t("sched.files")}</h2>
      <p><Outcome one={schedule} />{" · "}{schedule.paused ? t("sched.paused") : `${t("sched.next")}: ${fullMoment(schedule.next_at, speech)}`}</p>
      <Await query={files}>
        {(items) => items.length === 0 ? <p className="soft">{t("sched.noFiles")}</p> : (
          <ul className="stack tight">
            {items.map((one) => (
              <li key={one.file_id} style={{ overflowWrap: "anywhere" }}>
                <a className="tall-link" style={{ paddingLeft: 0 }} download href={`/api/v1/reports/files/${one.file_id}`} {...{ [ROW]: "" }}>{one.name}</a>{" "}
                <span className="soft small"><Age at={one.made_at} /> · {number(Math.ceil(one.bytes / 1024), speech)} kB</span>
              </li>
            ))}
          </ul>
        )}
      </Await>
    </section>
  );
}
