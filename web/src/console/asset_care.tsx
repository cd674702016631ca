// How much a machine matters, and why: consequence × likelihood proposes, a person may say otherwise with a reason.
import { useState } from "react";
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { useCare, type Care } from "../api/asset_table";
import { call } from "../api/client";
import { queryClient, useMe } from "../api/queries";
import { useSpeech } from "../i18n";
import { Refused, useJob } from "../parts/setting";
import { Await } from "../parts/states";

const STEPS = ["1", "2", "3", "4", "5"];
const PLANNERS = ["planner", "manager", "admin"];

export function CarePanel({ assetId }: { assetId: number }) {
  const { t } = useSpeech();
  const care = useCare(assetId);
  const me = useMe();
  const [open, setOpen] = useState(false);
  return (
    <section className="panel stack tight">
      <div className="row between">
        <h2>{t("care.title")}</h2>
        {PLANNERS.includes(me.data?.role ?? "") && <Button size="xs" variant="default" aria-expanded={open} onClick={() => setOpen(!open)}>{t("care.change")}</Button>}
      </div>
      <Await query={care}>
        {(data) => <><Why care={data} />{open && <Form care={data} done={() => setOpen(false)} />}</>}
      </Await>
    </section>
  );
}

function Why({ care }: { care: Care }) {
  const { t } = useSpeech();
  const weighed = care.consequence !== null && care.likelihood !== null;
  return (
    <p>
      {t("criticality.of", { n: care.criticality })}.{" "}
      {weighed ? t("care.because", { consequence: care.consequence ?? 0, likelihood: care.likelihood ?? 0, proposed: care.proposed ?? 0 }) : t("care.unweighed")}
      {care.reason && <> {t("care.reasonIs", { reason: care.reason })}</>}
    </p>
  );
}

function Form({ care, done }: { care: Care; done: () => void }) {
  const { t } = useSpeech();
  const job = useJob();
  const [consequence, setConsequence] = useState(String(care.consequence ?? 3));
  const [likelihood, setLikelihood] = useState(String(care.likelihood ?? 3));
  const [criticality, setCriticality] = useState("");
  const [reason, setReason] = useState(care.reason);
  const save = () => job.run(async () => {
    const body = { consequence: Number(consequence), likelihood: Number(likelihood), criticality: criticality ? Number(criticality) : null, reason };
    await call(`/assets/${care.asset_id}/criticality`, { method: "PUT", body, version: care.version });
    await queryClient.invalidateQueries({ queryKey: ["asset"] });
    done();
  });
  return (
    <form className="stack tight" onSubmit={(event) => { event.preventDefault(); void save(); }}>
      <div className="row">
        <NativeSelect label={t("care.consequence")} data={STEPS} value={consequence} onChange={(event) => setConsequence(event.currentTarget.value)} />
        <NativeSelect label={t("care.likelihood")} data={STEPS} value={likelihood} onChange={(event) => setLikelihood(event.currentTarget.value)} />
        <NativeSelect label={t("criticality.label")} data={[{ value: "", label: t("care.proposed") }, ...STEPS]} value={criticality} onChange={(event) => setCriticality(event.currentTarget.value)} />
      </div>
      <TextInput label={t("care.reason")} maxLength={300} value={reason} onChange={(event) => setReason(event.currentTarget.value)} />
      <Refused problem={job.problem} />
      <div className="row"><Button type="submit" loading={job.busy}>{t("care.save")}</Button></div>
    </form>
  );
}
