// What waits for the reader's decision, decided on the spot.
import { useState } from "react";
import { Button, Textarea } from "@mantine/core";
import { call } from "../api/client";
import { refreshTickets, useWaiting, type Waiting } from "../api/kinds";
import { useSpeech } from "../i18n";
import { Age } from "../parts/marks";
import { Head, Refused, useJob } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";
import { ROW } from "./list_keys";

export default function ApprovalsPage() {
  const { t } = useSpeech();
  const waiting = useWaiting();
  return (
    <>
      <Head title={t("appr.title")} lead={t("appr.lead")} />
      <Await query={waiting}>
        {(items) => items.length === 0
          ? <div className="panel"><Empty title={t("appr.empty")} hint={t("appr.emptyHint")} /></div>
          : <ul className="stack">{items.map((one) => <li key={one.approval_id}><One approval={one} /></li>)}</ul>}
      </Await>
    </>
  );
}

function One({ approval }: { approval: Waiting }) {
  const { t, say, code } = useSpeech();
  const job = useJob();
  const [reason, setReason] = useState("");
  const decide = (state: "approved" | "declined") => job.run(async () => {
    await call(`/approvals/${approval.approval_id}/decide`, { method: "POST", body: { state, reason: reason.trim() } });
    toast(`${approval.ref}: ${code("approval", state)}`);
    await refreshTickets();
  });
  return (
    <section className="panel stack" aria-label={approval.ref}>
      <h2><a href={`#/orders/${approval.ticket_id}`} {...{ [ROW]: "" }}>{approval.ref} {approval.title}</a></h2>
      <p className="lead">{say(approval.why)}</p>
      <p className="soft small">{t("appr.by", { who: approval.demanded_by })} <Age at={approval.demanded_at} /> · {t("kinds.waitsFor", { who: approval.user_name ?? code("role", approval.role) })}</p>
      <Textarea label={t("kinds.reason")} description={t("appr.reasonHint")} autosize minRows={1} maxLength={500} value={reason} onChange={(event) => setReason(event.currentTarget.value)} />
      <Refused problem={job.problem} />
      <div className="row">
        <Button loading={job.busy} aria-label={`${t("kinds.approve")} ${approval.ref}`} onClick={() => void decide("approved")}>{t("kinds.approve")}</Button>
        <Button variant="default" loading={job.busy} disabled={!reason.trim()} aria-label={`${t("kinds.decline")} ${approval.ref}`} onClick={() => void decide("declined")}>{t("kinds.decline")}</Button>
      </div>
    </section>
  );
}
