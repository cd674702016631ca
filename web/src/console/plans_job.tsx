// One job plan: steps, tools, parts, people, isolation; a change is the next revision.
import { useState } from "react";
import { Button, Checkbox, NumberInput, Textarea, TextInput } from "@mantine/core";
import { call } from "../api/client";
import { refreshPlans, useJobPlans, type JobPlan, type JobPlanBody } from "../api/plans";
import type { Words } from "../api/types";
import { useSpeech } from "../i18n";
import { filled, Head, listed, Refused, useJob } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";
import { go } from "../router";

export function JobPlanPage({ code, may }: { code: string; may: boolean }) {
  const { t } = useSpeech();
  const jobs = useJobPlans();
  return (
    <Await query={jobs}>
      {(items) => {
        if (code === "new") return <Form plan={null} may={may} />;
        const found = items.find((one) => one.code === code);
        return found ? <Form key={found.revision} plan={found} may={may} /> : <Empty title={t("app.notFound")} />;
      }}
    </Await>
  );
}

/** One text a line; "English | 中文" where they differ. */
function lines(texts: Words[] | undefined): string {
  return (texts ?? []).map((one) => (one.en === one.zh ? one.en : `${one.en} | ${one.zh}`)).join("\n");
}

function texts(value: string): Words[] {
  return value.split("\n").map((one) => one.trim()).filter(Boolean).map((one) => {
    const [en = "", zh = ""] = one.split("|").map((part) => part.trim());
    return filled({ en, zh });
  });
}

function partLines(body: JobPlanBody | undefined): string {
  return (body?.parts ?? []).map((one) => `${one.part} ${one.quantity}`).join("\n");
}

function parts(value: string): { part: string; quantity: number }[] {
  return value.split("\n").map((one) => one.trim().split(/\s+/)).filter(([part]) => part).map(([part = "", quantity]) => ({ part, quantity: Number(quantity ?? 1) }));
}

function Form({ plan, may }: { plan: JobPlan | null; may: boolean }) {
  const { t, say } = useSpeech();
  const job = useJob();
  const was = plan?.body;
  const [code, setCode] = useState(plan?.code ?? "");
  const [title, setTitle] = useState<Words>(was?.title ?? { en: "", zh: "" });
  const [text, setText] = useState({ steps: lines(was?.steps), tools: lines(was?.tools), isolation: lines(was?.isolation), parts: partLines(was), certificates: (was?.certificates ?? []).join(", ") });
  const [skill, setSkill] = useState(was?.skill ?? "");
  const [numbers, setNumbers] = useState({ minutes: was?.minutes ?? 60, level: was?.level ?? 1, people: was?.people ?? 1 });
  const [permit, setPermit] = useState(was?.permit ?? false);
  const body: JobPlanBody = {
    ...was, ...numbers, title: filled(title), skill, permit, steps: texts(text.steps), tools: texts(text.tools), isolation: texts(text.isolation),
    parts: parts(text.parts), certificates: listed(text.certificates),
  };
  const save = () => job.run(async () => {
    await call(`/job-plans/${code}`, { method: "PUT", version: plan?.revision ?? 0, body: { body } });
    await refreshPlans();
    toast(t("pl.jobSaved"));
    go(`/plans/job/${code}`, "replace");
  });
  const area = (name: keyof typeof text, label: string, hint: string) => (
    <Textarea label={label} description={hint} autosize minRows={2} maxRows={12} value={text[name]} onChange={(event) => setText({ ...text, [name]: event.currentTarget.value })} />
  );
  const count = (name: keyof typeof numbers, label: string, max: number) => (
    <NumberInput label={label} min={1} max={max} value={numbers[name]} onChange={(value) => setNumbers({ ...numbers, [name]: Number(value) })} style={{ maxWidth: 140 }} />
  );
  return (
    <>
      <Head title={plan ? say(plan.body.title) : t("pl.newJob")} lead={plan ? t("pl.jobAt", { code: plan.code, n: plan.revision, who: plan.by_name }) : t("pl.jobLead")} back={t("pl.title")} backTo="#/plans" />
      <fieldset disabled={!may} className="panel stack" style={{ minWidth: 0 }}>
        <legend className="hidden">{t("pl.job")}</legend>
        <div className="row wrap" style={{ alignItems: "flex-start" }}>
          <TextInput label={t("pl.code")} withAsterisk value={code} disabled={plan !== null} onChange={(event) => setCode(event.currentTarget.value)} />
          <TextInput label={t("pl.titleEn")} value={title.en} onChange={(event) => setTitle({ ...title, en: event.currentTarget.value })} />
          <TextInput label={t("pl.titleZh")} value={title.zh} onChange={(event) => setTitle({ ...title, zh: event.currentTarget.value })} />
        </div>
        <div className="row wrap" style={{ alignItems: "flex-start" }}>
          {count("minutes", t("pl.minutes"), 2880)}
          {count("people", t("pl.people"), 2)}
          <TextInput label={t("pl.skill")} value={skill} onChange={(event) => setSkill(event.currentTarget.value)} />
          {count("level", t("pl.level"), 3)}
          <TextInput label={t("pl.certificates")} value={text.certificates} onChange={(event) => setText({ ...text, certificates: event.currentTarget.value })} />
        </div>
        {area("steps", t("pl.steps"), t("pl.linesHint"))}
        {area("tools", t("pl.tools"), t("pl.linesHint"))}
        {area("parts", t("pl.parts"), t("pl.partsHint"))}
        {area("isolation", t("pl.isolation"), t("pl.linesHint"))}
        <Checkbox label={t("pl.permitNeeded")} checked={permit} onChange={(event) => setPermit(event.currentTarget.checked)} />
        <Refused problem={job.problem} />
        <div className="row"><Button loading={job.busy} disabled={!code} onClick={() => void save()}>{t("app.save")}</Button></div>
      </fieldset>
    </>
  );
}
