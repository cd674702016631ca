// What an order needs to be ready, and a job plan given to it in one action.
import { useState } from "react";
import { Button, NativeSelect } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { call } from "../api/client";
import { refreshPlans, useJobPlans, type Readiness } from "../api/plans";
import { queryClient } from "../api/queries";
import type { Me, Ticket } from "../api/types";
import { useSpeech } from "../i18n";
import { fullMoment } from "../i18n/format";
import { Refused, useJob } from "./setting";
import { Await } from "./states";

export function OrderPlan({ ticket, me }: { ticket: Ticket; me: Me }) {
  const speech = useSpeech();
  const { t, say, code } = speech;
  const found = useQuery({
    queryKey: ["preventive", "ready", ticket.ticket_id, ticket.version],
    queryFn: ({ signal }) => call<Readiness>(`/tickets/${ticket.ticket_id}/readiness`, { signal }),
  });
  const may = ["planner", "manager", "admin"].includes(me.role);
  return (
    <section className="panel stack tight">
      <h2>{t("pl.ready")}</h2>
      <Await query={found}>
        {(one) => (
          <>
            <p><span className="chip">{code("readiness", one.state)}</span> {one.job_plans.join(", ")}</p>
            <ul className="plain-list">
              {one.lacks.map((lack, i) => <li key={i}>{say(lack.text)}</li>)}
              {one.permit_by && <li className="soft">{t("pl.permitBy", { who: one.permit_by })}</li>}
              {one.override && <li className="soft">{t("pl.overrideBy", { who: one.override.by_name, reason: one.override.reason })}</li>}
              {one.window_begins && <li className="soft">{t("pl.stop")}: {fullMoment(one.window_begins, speech)}</li>}
            </ul>
            {may && <Apply ticket={ticket} had={one.job_plans} />}
          </>
        )}
      </Await>
    </section>
  );
}

function Apply({ ticket, had }: { ticket: Ticket; had: string[] }) {
  const { t, say } = useSpeech();
  const jobs = useJobPlans();
  const job = useJob();
  const [chosen, setChosen] = useState("");
  const left = (jobs.data ?? []).filter((one) => one.state === "active" && !had.includes(one.code));
  if (left.length === 0) return null;
  const apply = () => job.run(async () => {
    await call(`/tickets/${ticket.ticket_id}/job-plans`, { method: "POST", version: ticket.version, body: { code: chosen } });
    setChosen("");
    await Promise.all([refreshPlans(), queryClient.invalidateQueries()]);
  });
  return (
    <>
      <NativeSelect label={t("pl.job")} value={chosen} onChange={(event) => setChosen(event.currentTarget.value)}
        data={[{ value: "", label: "–" }, ...left.map((one) => ({ value: one.code, label: `${one.code} · ${say(one.body.title)}` }))]} />
      <Refused problem={job.problem} />
      <Button variant="default" loading={job.busy} disabled={!chosen} onClick={() => void apply()}>{t("pl.apply")}</Button>
    </>
  );
}
