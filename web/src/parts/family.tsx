// How a ticket belongs to others, and who follows it; planners link, merge and make parts by number.
import { useState, type FormEvent } from "react";
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { call, Problem } from "../api/client";
import { refreshTickets, ticketByRef, useAround, type Around, type Near } from "../api/kinds";
import type { Me, Ticket } from "../api/types";
import { useSpeech } from "../i18n";
import { go } from "../router";
import { isOpen, StatusChip } from "./marks";
import { toast } from "./toasts";

const PLANNERS = ["planner", "manager", "admin"];
const ACTIONS = ["relates", "blocks", "caused_by", "duplicates", "part_of", "merge"] as const;

export function Family({ ticket, me }: { ticket: Ticket; me: Me }) {
  const { t } = useSpeech();
  const around = useAround(ticket.ticket_id);
  if (!around.data) return null;
  const may = PLANNERS.includes(me.role);
  return (
    <section className="panel stack">
      <h2>{t("kinds.family")}</h2>
      <Relatives ticket={ticket} around={around.data} may={may} />
      {may && <LinkForm ticket={ticket} />}
      {me.role !== "requester" && <Watchers ticket={ticket} around={around.data} me={me} />}
    </section>
  );
}

export function MergedAway({ ticket }: { ticket: Ticket }) {
  const { t } = useSpeech();
  if (!ticket.merged_into) return null;
  return (
    <div className="problem" role="status">
      <span>{t("kinds.merged")} <a href={`#/orders/${ticket.merged_into.ticket_id}`}>{ticket.merged_into.ref}</a></span>
    </div>
  );
}

function Relatives({ ticket, around, may }: { ticket: Ticket; around: Around; may: boolean }) {
  const { t, code } = useSpeech();
  if (around.near.length === 0) return <p className="soft">{t("kinds.noFamily")}</p>;
  const remove = async (near: Near) => {
    await call(`/tickets/${ticket.ticket_id}/links/${near.link_id}`, { method: "DELETE" });
    await refreshTickets();
  };
  const removable = (near: Near) => may && near.link_id !== null && !/^(converted|split)/.test(near.how);
  return (
    <ul className="stack tight" style={{ listStyle: "none", padding: 0, margin: 0 }}>
      {around.near.map((near) => (
        <li key={`${near.how}.${near.ticket_id}`} className="row">
          <span className="soft">{code("near", near.how)}</span>
          <a href={`#/orders/${near.ticket_id}`}>{near.ref} {near.title}</a>
          <StatusChip status={near.status} />
          {removable(near) && (
            <Button size="compact-xs" variant="subtle" aria-label={`${t("kinds.unlink")} ${near.ref}`} onClick={() => void remove(near)}>×</Button>
          )}
        </li>
      ))}
    </ul>
  );
}

function LinkForm({ ticket }: { ticket: Ticket }) {
  const { t, code } = useSpeech();
  const [action, setAction] = useState<(typeof ACTIONS)[number]>("relates");
  const [ref, setRef] = useState("");
  const [problem, setProblem] = useState("");
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setProblem("");
    try {
      const other = await ticketByRef(ref);
      if (!other) return setProblem(t("kinds.noSuch", { ref: ref.trim() }));
      await relate(ticket, action, other.ticket_id);
      setRef("");
      await refreshTickets();
      if (action === "merge") go(`/orders/${other.ticket_id}`);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setProblem(error.status === 0 ? t("send.failed") : error.detail);
    }
  };
  const open = isOpen(ticket.status);
  const choices = ACTIONS.filter((one) => open || one !== "merge").map((value) => ({ value, label: code("near", value) }));
  return (
    <form className="stack tight" onSubmit={(event) => void submit(event)}>
      <div className="row">
        <NativeSelect aria-label={t("kinds.how")} value={action} data={choices} onChange={(event) => setAction(event.currentTarget.value as typeof action)} />
        <TextInput aria-label={t("kinds.ref")} placeholder="WO-2026-000001" value={ref} onChange={(event) => setRef(event.currentTarget.value)} />
        <Button type="submit" variant="default" disabled={!ref.trim()}>{t("kinds.link")}</Button>
      </div>
      {problem && <div className="problem" role="alert"><span>{problem}</span></div>}
    </form>
  );
}

function relate(ticket: Ticket, action: (typeof ACTIONS)[number], otherId: number): Promise<unknown> {
  const path = `/tickets/${ticket.ticket_id}`;
  if (action === "merge") return call(`${path}/merge`, { method: "POST", body: { into_id: otherId }, version: ticket.version });
  if (action === "part_of") return call(`${path}/parent`, { method: "PUT", body: { parent_id: otherId }, version: ticket.version });
  return call(`${path}/links`, { method: "POST", body: { kind: action, to_id: otherId } });
}

function Watchers({ ticket, around, me }: { ticket: Ticket; around: Around; me: Me }) {
  const { t } = useSpeech();
  const path = `/tickets/${ticket.ticket_id}/watchers`;
  const change = async () => {
    if (around.watching) await call(`${path}/${me.user_id}`, { method: "DELETE" });
    else await call(path, { method: "POST", body: {} });
    toast(t(around.watching ? "kinds.unwatched" : "kinds.watching"));
    await refreshTickets();
  };
  return (
    <div className="row between">
      <span className="soft">
        {around.watchers.length > 0 ? t("kinds.watchers", { names: around.watchers.map((one) => one.name).join(", ") }) : t("kinds.noWatchers")}
      </span>
      <Button size="xs" variant="default" onClick={() => void change()}>{t(around.watching ? "kinds.unwatch" : "kinds.watch")}</Button>
    </div>
  );
}
