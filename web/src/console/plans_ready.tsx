// Readiness: which orders can be done now, and why the others cannot.
import { useState } from "react";
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { call } from "../api/client";
import { refreshPlans, useReadiness, type Readiness } from "../api/plans";
import { useSpeech } from "../i18n";
import { fullMoment } from "../i18n/format";
import { Head, Refused, useJob } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { ROW } from "./list_keys";

const STATES = ["to_plan", "waiting_parts", "ready", "scheduled", "frozen"] as const;
const SIGN: Record<(typeof STATES)[number], string> = { to_plan: "▲", waiting_parts: "◇", ready: "●", scheduled: "◷", frozen: "❄" };

export function Ready({ may }: { may: boolean }) {
  const { t, code } = useSpeech();
  const found = useReadiness();
  const [state, setState] = useState("");
  return (
    <>
      <Head title={t("pl.ready")} lead={t("pl.readyLead")} back={t("pl.title")} backTo="#/plans" />
      <NativeSelect label={t("pl.state")} value={state} onChange={(event) => setState(event.currentTarget.value)} mb="sm" style={{ maxWidth: 280 }}
        data={[{ value: "", label: t("pl.everyState") }, ...STATES.map((one) => ({ value: one, label: code("readiness", one) }))]} />
      <Await query={found}>
        {(items) => {
          const shown = items.filter((one) => state === "" || one.state === state);
          return shown.length === 0 ? <div className="panel"><Empty title={t("pl.noneReady")} /></div> : <List items={shown} may={may} />;
        }}
      </Await>
    </>
  );
}

function List({ items, may }: { items: Readiness[]; may: boolean }) {
  const speech = useSpeech();
  const { t, say, code } = speech;
  const job = useJob();
  const put = (one: Readiness, path: string, body: unknown) => job.run(async () => {
    try { await call(`/tickets/${one.ticket_id}/${path}`, { method: "PUT", version: one.version, body }); } finally { await refreshPlans(); }
  });
  return (
    <>
      <Refused problem={job.problem} />
      <div className="scroll">
        <table className="list cards">
          <caption className="hidden">{t("pl.ready")}</caption>
          <thead>
            <tr><th scope="col">{t("pl.order")}</th><th scope="col">{t("pl.state")}</th><th scope="col">{t("pl.why")}</th><th scope="col">{t("pl.stop")}</th>{may && <th scope="col">{t("setting.actions")}</th>}</tr>
          </thead>
          <tbody>
            {items.map((one) => (
              <tr key={one.ticket_id}>
                <th scope="row"><a className="title" href={`#/orders/${one.ticket_id}`} {...{ [ROW]: "" }}>{one.ref}</a> {one.title}</th>
                <td data-label={t("pl.state")}><span className="chip">{SIGN[one.state]} {code("readiness", one.state)}</span></td>
                <td data-label={t("pl.why")}>
                  <ul className="plain-list">
                    {one.lacks.map((lack, i) => <li key={i}>{say(lack.text)}</li>)}
                    {one.permit_by && <li className="soft">{t("pl.permitBy", { who: one.permit_by })}</li>}
                    {one.override && <li className="soft">{t("pl.overrideBy", { who: one.override.by_name, reason: one.override.reason })}</li>}
                  </ul>
                </td>
                <td data-label={t("pl.stop")}>{one.visit ? t("pl.visitAt", { when: fullMoment(one.visit, speech) }) : one.window_begins ? fullMoment(one.window_begins, speech) : "–"}</td>
                {may && <td data-label={t("setting.actions")}><Steps one={one} put={put} /></td>}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function Steps({ one, put }: { one: Readiness; put: (one: Readiness, path: string, body: unknown) => Promise<void> }) {
  const { t } = useSpeech();
  const [reason, setReason] = useState("");
  const lacks = one.lacks.map((each) => each.kind);
  return (
    <div className="stack tight">
      {lacks.includes("permit") && <Button size="xs" variant="default" aria-label={`${t("pl.givePermit")} ${one.ref}`} onClick={() => void put(one, "permit", { note: "" })}>{t("pl.givePermit")}</Button>}
      {lacks.includes("window") && (
        <>
          <TextInput size="xs" aria-label={`${t("pl.overrideWhy")} ${one.ref}`} placeholder={t("pl.overrideWhy")} value={reason} onChange={(event) => setReason(event.currentTarget.value)} />
          <Button size="xs" variant="default" disabled={!reason.trim()} aria-label={`${t("pl.override")} ${one.ref}`} onClick={() => void put(one, "window-override", { reason })}>{t("pl.override")}</Button>
        </>
      )}
    </div>
  );
}
