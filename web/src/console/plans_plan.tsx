// One plan: when it is due, what another interval would change, and what became of its due days.
import { useState } from "react";
import { Button, NativeSelect, NumberInput, TextInput } from "@mantine/core";
import { call } from "../api/client";
import { plantNow } from "../api/clock";
import { refreshPlans, useJobPlans, useOccurrences, usePreventive, type Plan, type PlanBody, type Preview, type Totals } from "../api/plans";
import { useSpeech } from "../i18n";
import { number } from "../i18n/format";
import { momentAt } from "../i18n/zone";
import { filled, Head, listed, Refused, useJob } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";
import { go } from "../router";

export function PlanPage({ code, may }: { code: string; may: boolean }) {
  const { t } = useSpeech();
  const plans = usePreventive();
  return (
    <Await query={plans}>
      {(items) => {
        if (code === "new") return <Form plan={null} may={may} />;
        const found = items.find((one) => one.code === code);
        return found ? <Form key={found.version} plan={found} may={may} /> : <Empty title={t("app.notFound")} />;
      }}
    </Await>
  );
}

function fresh(): PlanBody {
  const first = new Date(plantNow()).toISOString().slice(0, 10);
  return { title: { en: "", zh: "" }, assets: [], calendar: [{ every: 1, unit: "month", first, mode: "fixed" }] };
}

function Form({ plan, may }: { plan: Plan | null; may: boolean }) {
  const speech = useSpeech();
  const { t, say } = speech;
  const job = useJob();
  const jobs = useJobPlans();
  const [code, setCode] = useState(plan?.code ?? "");
  const [body, setBody] = useState<PlanBody>(plan?.body ?? fresh());
  const [preview, setPreview] = useState<Preview | null>(null);
  const change = (next: Partial<PlanBody>) => { setBody({ ...body, ...next }); setPreview(null); };
  const given = { body: { ...body, title: filled(body.title) } };
  const save = () => job.run(async () => {
    await call(`/preventive-plans/${code}`, { method: "PUT", version: plan?.version ?? 0, body: given });
    await refreshPlans();
    toast(t("pl.saved"));
    go(`/plans/plan/${code}`, "replace");
  });
  const look = () => job.run(async () => setPreview(await call<Preview>(`/preventive-plans/${code}/preview`, { method: "POST", body: given })));
  const settle = (state: string) => job.run(async () => {
    await call(`/preventive-plans/${code}/state`, { method: "POST", version: plan?.version, body: { state } });
    await refreshPlans();
    if (state === "retired") go("/plans");
  });
  const calendar = body.calendar?.[0];
  const meter = body.meter?.[0];
  return (
    <>
      <Head title={plan ? say(plan.body.title) : t("pl.new")} lead={plan ? plan.code : t("pl.lead")} back={t("pl.title")} backTo="#/plans">
        {may && plan?.state === "active" && <Button variant="default" onClick={() => void settle("paused")}>{t("pl.pause")}</Button>}
        {may && plan?.state === "paused" && <Button variant="default" onClick={() => void settle("active")}>{t("pl.goOn")}</Button>}
        {may && plan && <Button variant="default" onClick={() => void settle("retired")}>{t("pl.retire")}</Button>}
      </Head>
      <div className="stack">
        {plan?.warnings.map((one, i) => <p key={i} role="note">▲ {say(one)}</p>)}
        <fieldset disabled={!may} className="panel stack" style={{ minWidth: 0 }}>
          <legend className="hidden">{t("pl.plan")}</legend>
          <div className="row wrap" style={{ alignItems: "flex-start" }}>
            <TextInput label={t("pl.code")} withAsterisk value={code} disabled={plan !== null} onChange={(event) => setCode(event.currentTarget.value)} />
            <TextInput label={t("pl.titleEn")} value={body.title.en} onChange={(event) => change({ title: { ...body.title, en: event.currentTarget.value } })} />
            <TextInput label={t("pl.titleZh")} value={body.title.zh} onChange={(event) => change({ title: { ...body.title, zh: event.currentTarget.value } })} />
            <Codes label={t("pl.assets")} value={body.assets} change={(assets) => change({ assets })} />
          </div>
          <div className="row wrap" style={{ alignItems: "flex-start" }}>
            {calendar && <NumberInput label={t("pl.every")} min={1} value={calendar.every} onChange={(value) => change({ calendar: [{ ...calendar, every: Number(value) }, ...(body.calendar ?? []).slice(1)] })} style={{ maxWidth: 110 }} />}
            <NativeSelect label={t("pl.unit")} value={calendar?.unit ?? "none"} data={["day", "week", "month", "none"].map((one) => ({ value: one, label: speech.code("planUnit", one) }))}
              onChange={(event) => {
                const unit = event.currentTarget.value;
                const usual = fresh().calendar?.[0];
                change({ calendar: unit === "none" || !usual ? [] : [{ ...(calendar ?? usual), unit: unit as "day" }, ...(body.calendar ?? []).slice(1)] });
              }} />
            {calendar && <TextInput type="date" label={t("pl.first")} value={calendar.first} onChange={(event) => change({ calendar: [{ ...calendar, first: event.currentTarget.value }, ...(body.calendar ?? []).slice(1)] })} />}
            {calendar && <NativeSelect label={t("pl.mode")} value={calendar.mode} data={["fixed", "floating"].map((one) => ({ value: one, label: speech.code("planMode", one) }))}
              onChange={(event) => change({ calendar: [{ ...calendar, mode: event.currentTarget.value as "fixed" }, ...(body.calendar ?? []).slice(1)] })} />}
            <TextInput label={t("pl.meter")} value={meter?.meter ?? ""} onChange={(event) => change({ meter: event.currentTarget.value ? [{ every: meter?.every ?? 500, meter: event.currentTarget.value }] : [] })} style={{ maxWidth: 140 }} />
            {meter && <NumberInput label={t("pl.meterEvery")} min={0} value={meter.every} onChange={(value) => change({ meter: [{ ...meter, every: Number(value) }] })} style={{ maxWidth: 140 }} />}
          </div>
          <div className="row wrap" style={{ alignItems: "flex-start" }}>
            <NativeSelect label={t("pl.job")} value={body.job_plan ?? ""} data={[{ value: "", label: t("app.none") }, ...(jobs.data ?? []).map((one) => ({ value: one.code, label: `${one.code} · ${say(one.body.title)}` }))]}
              onChange={(event) => change({ job_plan: event.currentTarget.value })} />
            <NumberInput label={t("pl.leadDays")} min={0} value={body.lead_days ?? 0} onChange={(value) => change({ lead_days: Number(value) })} style={{ maxWidth: 140 }} />
            <NumberInput label={t("pl.tolerance")} min={0} value={body.tolerance_days ?? 0} onChange={(value) => change({ tolerance_days: Number(value) })} style={{ maxWidth: 140 }} />
            <Codes label={t("pl.absorbs")} value={body.absorbs ?? []} change={(absorbs) => change({ absorbs })} />
          </div>
          {(body.condition || body.season) && <p className="soft small">{t("pl.more")}</p>}
          <Refused problem={job.problem} />
          <div className="row">
            <Button loading={job.busy} disabled={!code} onClick={() => void save()}>{t("app.save")}</Button>
            <Button variant="default" loading={job.busy} disabled={!code} onClick={() => void look()}>{t("pl.try")}</Button>
          </div>
          {preview && <Tried preview={preview} />}
        </fieldset>
        {may && plan?.state === "active" && <DoneByHand code={plan.code} />}
        {plan && <Past code={plan.code} />}
      </div>
    </>
  );
}

/** The work was done, and nobody had an order for it. */
function DoneByHand({ code }: { code: string }) {
  const { t, zone } = useSpeech();
  const job = useJob();
  const [at, setAt] = useState<string | null>(null);
  const save = () => job.run(async () => {
    await call(`/preventive-plans/${code}/done`, { method: "POST", body: { at: at ? momentAt(at, zone) : null } });
    setAt(null);
    toast(t("pl.doneSaved"));
    await refreshPlans();
  });
  if (at === null) return <div><Button variant="default" onClick={() => setAt("")}>{t("pl.doneByHand")}</Button></div>;
  return (
    <form className="panel stack tight" aria-label={t("pl.doneByHand")} onSubmit={(event) => { event.preventDefault(); void save(); }}>
      <TextInput type="datetime-local" label={t("pl.doneAt")} description={t("mt.atHint", { zone })} value={at} onChange={(event) => setAt(event.currentTarget.value)} style={{ maxWidth: 280 }} />
      <Refused problem={job.problem} />
      <div className="row"><Button type="submit" loading={job.busy}>{t("pl.doneSave")}</Button><Button variant="default" onClick={() => setAt(null)}>{t("app.cancel")}</Button></div>
    </form>
  );
}

function Codes({ label, value, change }: { label: string; value: string[]; change: (next: string[]) => void }) {
  const [text, setText] = useState(value.join(", "));
  return <TextInput label={label} value={text} onChange={(event) => { setText(event.currentTarget.value); change(listed(event.currentTarget.value)); }} />;
}

function Tried({ preview }: { preview: Preview }) {
  const speech = useSpeech();
  const { t } = speech;
  const rows: [string, keyof Totals][] = [[t("pl.visits"), "visits"], [t("pl.dueDays"), "due_days"], [t("pl.spared"), "spared"], [t("pl.hours"), "hours"]];
  return (
    <div aria-live="polite">
      <h2>{t("pl.tried", { weeks: preview.weeks })}</h2>
      <table className="list">
        <thead><tr><th scope="col">{t("pl.all")}</th><th scope="col" className="num">{t("pl.asIs")}</th><th scope="col" className="num">{t("pl.asTried")}</th></tr></thead>
        <tbody>
          {rows.map(([label, name]) => (
            <tr key={name}><th scope="row">{label}</th><td className="num">{number(preview.before[name], speech)}</td><td className="num">{number(preview.after[name], speech)}</td></tr>
          ))}
          <tr><th scope="row">{t("pl.ofThis")}</th><td className="num">{preview.days_before.length}</td><td className="num">{preview.days_after.length}</td></tr>
        </tbody>
      </table>
    </div>
  );
}

function Past({ code }: { code: string }) {
  const { t, say, code: word } = useSpeech();
  const past = useOccurrences(code);
  return (
    <section>
      <h2 style={{ margin: "8px 0 12px" }}>{t("pl.past")}</h2>
      <Await query={past}>
        {(items) => items.length === 0 ? <div className="panel"><Empty title={t("pl.nothingYet")} /></div> : (
          <div className="scroll">
            <table className="list cards">
              <thead><tr><th scope="col">{t("pl.day")}</th><th scope="col">{t("pl.fate")}</th><th scope="col">{t("pl.order")}</th></tr></thead>
              <tbody>
                {items.map((each) => (
                  <tr key={each.due}>
                    <th scope="row">{each.due}</th>
                    <td data-label={t("pl.fate")}>{say(each.why)}</td>
                    <td data-label={t("pl.order")}>{each.ticket_id ? <a href={`#/orders/${each.ticket_id}`}>{each.ticket_ref} · {word("status", each.ticket_status)}</a> : "–"}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Await>
    </section>
  );
}
