// What people said of orders, and saying something else when one has come to know better.
import { useState } from "react";
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { useVerdicts, type Verdict } from "../api/asset_table";
import { call } from "../api/client";
import { queryClient, useAssets } from "../api/queries";
import type { Me } from "../api/types";
import { useSpeech } from "../i18n";
import { fullMoment } from "../i18n/format";
import { VERDICTS } from "../parts/fields";
import { Head, Refused, useJob } from "../parts/setting";
import { Await, Empty } from "../parts/states";

export default function Verdicts({ me }: { me: Me }) {
  const { t } = useSpeech();
  const found = useVerdicts();
  return (
    <>
      <Head title={t("judged.title")} lead={t("judged.lead")} back={t("detector.title")} backTo="#/detectors" />
      <Await query={found}>
        {({ items }) => items.length === 0 ? <div className="panel"><Empty title={t("judged.none")} /></div> : <Table items={items} mayCorrect={["planner", "manager", "admin"].includes(me.role)} />}
      </Await>
    </>
  );
}

function Table({ items, mayCorrect }: { items: Verdict[]; mayCorrect: boolean }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const assets = useAssets();
  const [open, setOpen] = useState<number | null>(null);
  return (
    <div className="stack">
      {items.map((one) => (
        <section key={one.verdict_id} className="panel stack tight">
          <div className="row between">
            <div>
              <h2>{code("verdict", one.verdict)}{one.failure_code ? `: ${one.failure_code}` : ""}</h2>
              <p className="soft">
                <a href={`#/assets/${one.asset_id}`}>{assets.data?.find((each) => each.asset_id === one.asset_id)?.code ?? one.asset_id}</a> · {code("detectorName", one.detector)} · {one.mode} ·{" "}
                {one.given_by} {fullMoment(one.given_at, speech)}
                {one.corrected_by && <> · {t("judged.corrected", { by: one.corrected_by })}</>}
              </p>
            </div>
            <span className="row">
              {one.ticket_id !== null && <a href={`#/orders/${one.ticket_id}`}>{t("judged.order")}</a>}
              {mayCorrect && <Button size="xs" variant="default" aria-expanded={open === one.verdict_id} onClick={() => setOpen(open === one.verdict_id ? null : one.verdict_id)}>{t("judged.correct")}</Button>}
            </span>
          </div>
          {open === one.verdict_id && <Form one={one} done={() => setOpen(null)} />}
        </section>
      ))}
    </div>
  );
}

function Form({ one, done }: { one: Verdict; done: () => void }) {
  const { t, code } = useSpeech();
  const job = useJob();
  const [verdict, setVerdict] = useState(one.verdict);
  const [mode, setMode] = useState(one.failure_code ?? "");
  const [reason, setReason] = useState("");
  const save = () => job.run(async () => {
    await call(`/verdicts/${one.verdict_id}`, { method: "PUT", version: one.version, body: { verdict, failure_code: mode || null, reason } });
    await Promise.all([queryClient.invalidateQueries({ queryKey: ["verdict"] }), queryClient.invalidateQueries({ queryKey: ["detector"] })]);
    done();
  });
  return (
    <form className="stack tight" onSubmit={(event) => { event.preventDefault(); void save(); }}>
      <NativeSelect label={t("judged.verdict")} value={verdict} onChange={(event) => setVerdict(event.currentTarget.value)} data={VERDICTS.map((value) => ({ value, label: code("verdict", value) }))} />
      <TextInput label={t("judged.mode")} value={mode} onChange={(event) => setMode(event.currentTarget.value)} />
      <TextInput label={t("judged.reason")} required value={reason} onChange={(event) => setReason(event.currentTarget.value)} />
      <Refused problem={job.problem} />
      <div className="row"><Button type="submit" disabled={!reason.trim()} loading={job.busy}>{t("judged.save")}</Button></div>
    </form>
  );
}
