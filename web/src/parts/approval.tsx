// A request's way to an order, and the approvals that hold a ticket.
import { useState, type FormEvent } from "react";
import { Button, NativeSelect, Textarea } from "@mantine/core";
import { refreshTickets, useAround, type Approval } from "../api/kinds";
import { useSend } from "../api/send";
import type { Me, Ticket } from "../api/types";
import { useSpeech } from "../i18n";
import { go } from "../router";
import { isOpen } from "./marks";
import { toast } from "./toasts";
import { SendProblem } from "./transition";

const PLANNERS = ["planner", "manager", "admin"];
const ORDERS = ["corrective", "preventive", "inspection", "incident"];

/** For a planner on an open request that is no order yet. */
export function RequestToOrder({ ticket, me }: { ticket: Ticket; me: Me }) {
  const { t } = useSpeech();
  const around = useAround(ticket.ticket_id);
  const converted = around.data?.near.some((near) => near.how === "converted_to") ?? true;
  if (ticket.kind !== "request" || !PLANNERS.includes(me.role) || !isOpen(ticket.status) || converted) return null;
  return (
    <section className="panel stack">
      <h2>{t("kinds.request")}</h2>
      <p className="soft">{t("kinds.requestLead")}</p>
      <Convert ticket={ticket} />
      <Decline ticket={ticket} />
    </section>
  );
}

function Convert({ ticket }: { ticket: Ticket }) {
  const { t, code } = useSpeech();
  const [kind, setKind] = useState("corrective");
  const sender = useSend<Ticket>(`convert.${ticket.ticket_id}`, async (order) => {
    toast(t("kinds.converted", { ref: order.ref }));
    await refreshTickets();
    go(`/orders/${order.ticket_id}`);
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void sender.send(`/tickets/${ticket.ticket_id}/convert`, { kind }, ticket.version);
  };
  return (
    <form className="stack tight" onSubmit={submit}>
      <div className="row">
        <NativeSelect
          aria-label={t("kinds.orderKind")} value={kind} onChange={(event) => setKind(event.currentTarget.value)}
          data={ORDERS.map((value) => ({ value, label: code("kind", value) }))}
        />
        <Button type="submit" loading={sender.sending}>{t("kinds.convert")}</Button>
      </div>
      <SendProblem sender={sender} />
    </form>
  );
}

function Decline({ ticket }: { ticket: Ticket }) {
  const { t } = useSpeech();
  const [open, setOpen] = useState(false);
  const [reason, setReason] = useState("");
  const sender = useSend<Ticket>(`decline.${ticket.ticket_id}`, refreshTickets);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (reason.trim()) void sender.send(`/tickets/${ticket.ticket_id}/decline`, { reason: reason.trim() }, ticket.version);
  };
  if (!open) return <div><Button variant="default" onClick={() => setOpen(true)}>{t("kinds.decline")}</Button></div>;
  return (
    <form className="stack tight" onSubmit={submit}>
      <Textarea label={t("kinds.declineWhy")} withAsterisk autosize minRows={2} maxLength={500} value={reason} onChange={(event) => setReason(event.currentTarget.value)} />
      <div className="row">
        <Button type="submit" loading={sender.sending} disabled={!reason.trim()}>{t("kinds.decline")}</Button>
        <Button variant="default" onClick={() => setOpen(false)}>{t("app.cancel")}</Button>
      </div>
      <SendProblem sender={sender} />
    </form>
  );
}

/** What was demanded for the ticket; who is asked decides here. */
export function Approvals({ ticket }: { ticket: Ticket }) {
  const { t } = useSpeech();
  const around = useAround(ticket.ticket_id);
  const found = around.data?.approvals ?? [];
  if (found.length === 0) return null;
  return (
    <section className="panel stack">
      <h2>{t("kinds.approvals")}</h2>
      {found.map((one) => <Demanded key={one.approval_id} approval={one} />)}
    </section>
  );
}

function Demanded({ approval }: { approval: Approval }) {
  const { t, say, code } = useSpeech();
  const who = approval.user_name ?? code("role", approval.role);
  return (
    <div className="stack tight">
      <p><strong>{say(approval.why)}</strong></p>
      <p className="soft">
        {approval.state === "pending" ? t("kinds.waitsFor", { who }) : `${code("approval", approval.state)}: ${approval.decided_by ?? ""} ${approval.reason}`}
      </p>
      {approval.mine && <Decide approval={approval} />}
    </div>
  );
}

function Decide({ approval }: { approval: Approval }) {
  const { t } = useSpeech();
  const [reason, setReason] = useState("");
  const sender = useSend<Approval>(`approval.${approval.approval_id}`, refreshTickets);
  const send = (state: string) => void sender.send(`/approvals/${approval.approval_id}/decide`, { state, reason: reason.trim() });
  return (
    <div className="stack tight">
      <Textarea label={t("kinds.reason")} autosize minRows={1} maxLength={500} value={reason} onChange={(event) => setReason(event.currentTarget.value)} />
      <div className="row">
        <Button loading={sender.sending} onClick={() => send("approved")}>{t("kinds.approve")}</Button>
        <Button variant="default" disabled={!reason.trim()} onClick={() => send("declined")}>{t("kinds.decline")}</Button>
      </div>
      <SendProblem sender={sender} />
    </div>
  );
}
