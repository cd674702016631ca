// Two things a planner enters on a ticket: entries that are a matter of their own, and what it costs beside labour and parts.
import { useState, type FormEvent } from "react";
import { Button, Checkbox, NativeSelect, NumberInput, TextInput } from "@mantine/core";
import { call } from "../api/client";
import { refreshTickets, useAround } from "../api/kinds";
import { useTicketEvents } from "../api/queries";
import type { Me, Ticket, TicketEvent } from "../api/types";
import { useSpeech } from "../i18n";
import { number } from "../i18n/format";
import { go } from "../router";
import { Age } from "./marks";
import { Refused, useJob } from "./setting";
import { toast } from "./toasts";

const PLANNERS = ["planner", "manager", "admin"];
const COSTS = ["contractor", "travel", "rental", "material", "other"];

function said(event: TicketEvent): string {
  const body = event.body as Record<string, unknown>;
  return String(body.note ?? body.text ?? body.comment ?? "").slice(0, 120);
}

export function Split({ ticket, me }: { ticket: Ticket; me: Me }) {
  const { t } = useSpeech();
  const [open, setOpen] = useState(false);
  if (!PLANNERS.includes(me.role)) return null;
  return (
    <section className="panel stack">
      <h2>{t("split.title")}</h2>
      {open ? <SplitForm ticket={ticket} close={() => setOpen(false)} /> : <div><Button variant="default" onClick={() => setOpen(true)}>{t("split.begin")}</Button></div>}
    </section>
  );
}

function SplitForm({ ticket, close }: { ticket: Ticket; close: () => void }) {
  const { t, code } = useSpeech();
  const events = useTicketEvents(ticket.ticket_id);
  const job = useJob();
  const [chosen, setChosen] = useState<string[]>([]);
  const [title, setTitle] = useState("");
  const worth = (events.data ?? []).filter((one) => said(one));
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void job.run(async () => {
      const made = await call<Ticket>(`/tickets/${ticket.ticket_id}/split`, { method: "POST", body: { seqs: chosen.map(Number), title: title.trim() } });
      toast(t("split.done", { ref: made.ref }));
      await refreshTickets();
      go(`/orders/${made.ticket_id}`);
    });
  };
  return (
    <form className="stack" onSubmit={submit}>
      <p className="soft">{t("split.lead")}</p>
      {worth.length === 0 ? <p className="soft">{t("split.nothing")}</p> : (
        <Checkbox.Group label={t("split.entries")} value={chosen} onChange={setChosen}>
          <div className="stack tight" style={{ marginTop: 6 }}>
            {worth.map((one) => <Checkbox key={one.seq} size="sm" value={String(one.seq)} label={`${code("event", one.kind)}: ${said(one)}`} />)}
          </div>
        </Checkbox.Group>
      )}
      <TextInput label={t("split.name")} withAsterisk maxLength={200} value={title} onChange={(event) => setTitle(event.currentTarget.value)} />
      <Refused problem={job.problem} />
      <div className="row">
        <Button type="submit" loading={job.busy} disabled={chosen.length === 0 || !title.trim()}>{t("split.do")}</Button>
        <Button variant="default" onClick={close}>{t("app.cancel")}</Button>
      </div>
    </form>
  );
}

/** Engineers enter costs on their own jobs; planners everywhere. */
export function Costs({ ticket, me }: { ticket: Ticket; me: Me }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const around = useAround(ticket.ticket_id);
  const job = useJob();
  const [kind, setKind] = useState("contractor");
  const [amount, setAmount] = useState<number | string>("");
  const [note, setNote] = useState("");
  if (!around.data || around.data.cost === null || me.role === "requester") return null;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void job.run(async () => {
      await call(`/tickets/${ticket.ticket_id}/costs`, { method: "POST", body: { kind, amount: Number(amount), note: note.trim() } });
      setAmount("");
      setNote("");
      await refreshTickets();
    });
  };
  return (
    <section className="panel stack">
      <h2>{t("cost.title")}</h2>
      <p>{t("cost.sum", { n: number(around.data.cost, speech) })}</p>
      {around.data.cost_lines.length > 0 && (
        <ul className="stack tight">
          {around.data.cost_lines.map((one) => (
            <li key={one.line_id}>{code("costKind", one.kind)} <strong>{number(one.amount, speech)}</strong> {one.note} <span className="soft small">{one.made_by} <Age at={one.made_at} /></span></li>
          ))}
        </ul>
      )}
      <form className="stack tight" onSubmit={submit}>
        <div className="row" style={{ alignItems: "flex-end" }}>
          <NativeSelect label={t("cost.kind")} value={kind} data={COSTS.map((value) => ({ value, label: code("costKind", value) }))} onChange={(event) => setKind(event.currentTarget.value)} />
          <NumberInput label={t("cost.amount")} w={130} value={amount} onChange={setAmount} />
        </div>
        <TextInput label={t("cost.note")} description={t("cost.noteHint")} maxLength={300} value={note} onChange={(event) => setNote(event.currentTarget.value)} />
        <Refused problem={job.problem} />
        <div><Button type="submit" variant="default" loading={job.busy} disabled={amount === "" || Number(amount) === 0}>{t("cost.add")}</Button></div>
      </form>
    </section>
  );
}
