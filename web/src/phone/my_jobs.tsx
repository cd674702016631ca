// My jobs as cards, in the order of their deadlines: place, machine, due, why.
import { useState } from "react";
import { Button } from "@mantine/core";
import { useQuery, type UseQueryResult } from "@tanstack/react-query";
import { ticketQuery } from "../api/queries";
import type { Page, TicketItem, TicketStatus } from "../api/types";
import { useSpeech } from "../i18n";
import { Gear, Hourglass, Pin } from "../parts/icons";
import { PriorityMark, StatusChip } from "../parts/marks";
import { Due, nextClock } from "../parts/sla";
import { Await, Bones, Empty } from "../parts/states";
import { sentenceOf } from "../parts/why";
import { mayAskForNotices, useSeen } from "./notices";

const CHECKED: TicketStatus[] = ["done", "verifying"];

export function MyJobs({ jobs }: { jobs: UseQueryResult<Page<TicketItem>> }) {
  const { t } = useSpeech();
  return (
    <>
      <h1 className="hidden">{t("my.title")}</h1>
      <AskForNotices />
      <Await query={jobs} bones={<Bones rows={4} height={124} />}>
        {(page) =>
          page.items.length === 0 ? <Empty title={t("my.empty")} hint={t("my.emptyHint")} /> : <Sections items={page.items} />
        }
      </Await>
    </>
  );
}

function Sections({ items }: { items: TicketItem[] }) {
  const { t } = useSpeech();
  const sorted = [...items].sort((a, b) => dueMs(a) - dueMs(b));
  const held = sorted.filter((job) => job.status === "on_hold");
  const checked = sorted.filter((job) => CHECKED.includes(job.status));
  const now = sorted.filter((job) => !held.includes(job) && !checked.includes(job));
  return (
    <>
      <Section title={t("my.now")} jobs={now} />
      <Section title={t("my.held")} jobs={held} />
      <Section title={t("my.verifying")} jobs={checked} />
    </>
  );
}

function Section({ title, jobs }: { title: string; jobs: TicketItem[] }) {
  if (jobs.length === 0) return null;
  return (
    <section className="jobs">
      <h2>{title} <span className="soft small">{jobs.length}</span></h2>
      <ul className="stack">{jobs.map((job) => <li key={job.ticket_id}><Card job={job} /></li>)}</ul>
    </section>
  );
}

function Card({ job }: { job: TicketItem }) {
  const { t, say } = useSpeech();
  const fresh = !useSeen().has(job.ticket_id) && job.status === "assigned";
  // The whole job is fetched with its card: it tells why, and it can then be opened without a network.
  const detail = useQuery({ ...ticketQuery(job.ticket_id), staleTime: 60_000 }).data;
  const why = say(detail?.evidence.map(sentenceOf).find(Boolean)) || detail?.description || say(job.mode?.name);
  return (
    <a className="job-card" href={`#/my/${job.ticket_id}`}>
      <span className="row between">
        <span className="soft small">{job.ref}</span>
        <span className="row">{fresh && <span className="chip accent strong">● {t("my.new")}</span>}<StatusChip status={job.status} /></span>
      </span>
      <strong className="job-title">{job.title}</strong>
      {why && <span className="job-why">{why}</span>}
      <span className="job-facts">
        {job.asset && <span><Gear /><span className="hidden">{t("my.machine")}: </span>{job.asset.code} {job.asset.name}</span>}
        {job.asset?.location && <span><Pin /><span className="hidden">{t("my.place")}: </span>{job.asset.location}</span>}
        <span className="row between">
          <span><Hourglass /><span className="hidden">{t("my.due")}: </span><Due ticket={job} /></span>
          <PriorityMark priority={job.priority} />
        </span>
      </span>
    </a>
  );
}

function AskForNotices() {
  const { t } = useSpeech();
  const [ask, setAsk] = useState(mayAskForNotices);
  if (!ask) return null;
  const answer = async () => {
    await Notification.requestPermission();
    setAsk(false);
  };
  return (
    <div className="ask">
      <span className="small soft">{t("my.allowNoticesHint")}</span>
      <Button variant="default" size="md" onClick={() => void answer()}>{t("my.allowNotices")}</Button>
    </div>
  );
}

function dueMs(job: TicketItem): number {
  return Date.parse(nextClock(job)?.due_at ?? job.resolve_by ?? "9999-01-01");
}
