// One alarm rule in a form, or as text: groups of conditions, each with its limits and how long each is waited for.
import { useState } from "react";
import { Button, Checkbox, NativeSelect, NumberInput, Textarea, TextInput } from "@mantine/core";
import { KINDS, previewOf, readRule, refreshRules, saveRule, type AlarmRule, type Condition, type KeptRule, type Kind, type Preview } from "../api/alarm_rules";
import { useAssets } from "../api/queries";
import { useSpeech, type Speech } from "../i18n";
import { AssetSelect, useClasses } from "../parts/asset_select";
import { useDraft } from "../parts/draft";
import { Overtaken, Refused, useJob, type Lines } from "../parts/setting";
import { toast } from "../parts/toasts";
import { Looked, said } from "./alarm_rules";

const DAYS = 30;
const FRESH: Condition = { kind: "high", signal: "", unit: "", steps: [{ limit: 0, for_s: 0 }], dead_band: 0, over_s: 0 };
const NEW: AlarmRule = { code: "", name: "", any: [{ all: [FRESH] }], asset_class: "", asset: "", about: "machine", severity: 2, failure_mode: "", advice: "", while_running: false };
const RATES: Kind[] = ["rise", "fall", "change"];

function words(rule: AlarmRule, speech: Speech): Lines {
  const { t, code } = speech;
  return {
    [t("ar.name")]: rule.name,
    [t("ar.of")]: [rule.asset_class, rule.asset].filter(Boolean).join(" · "),
    [t("ar.when")]: rule.any.map((group) => group.all.map((each) => said(each, speech)).join(t("ar.and"))).join(` ${t("ar.orElse")} `),
    [t("ar.raises")]: `${code("arAbout", rule.about)} · ${code("severity", rule.severity)}`,
    [t("ar.advice")]: rule.advice,
  };
}

export function RuleForm({ one, close }: { one: KeptRule | null; close: () => void }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const job = useJob();
  const classes = useClasses();
  const assets = useAssets();
  const { draft, set, version, theirs, take, keep } = useDraft(one, (each) => each.rule, () => NEW);
  const [text, setText] = useState<string | null>(null);
  const [found, setFound] = useState<Preview | null>(null);
  const change = (more: Partial<AlarmRule>) => { set({ ...draft, ...more }); setFound(null); };
  const setGroup = (at: number, all: Condition[]) => change({ any: all.length > 0 ? draft.any.map((group, i) => (i === at ? { all } : group)) : draft.any.filter((_, i) => i !== at) });
  const save = () => job.run(async () => {
    try {
      await saveRule(one, draft, version);
      toast(t("ar.saved"));
      close();
    } finally {
      await refreshRules();
    }
  });
  const preview = () => job.run(async () => setFound(await previewOf(draft, DAYS)));
  const read = () => job.run(async () => {
    const { rule } = await readRule(text ?? "");
    change(rule);
    setText(null);
  });
  const settle = (way: () => void) => { way(); job.clear(); };
  if (text !== null) {
    return (
      <form className="panel stack" aria-label={t("ar.text")} onSubmit={(event) => { event.preventDefault(); void read(); }}>
        <h2>{t("ar.text")}</h2>
        <Textarea label={t("ar.textLabel")} description={t("ar.textHint")} autosize minRows={8} maxRows={30} spellCheck={false} styles={{ input: { fontFamily: "monospace" } }} value={text} onChange={(event) => setText(event.currentTarget.value)} />
        <Refused problem={job.problem} />
        <div className="row"><Button type="submit" loading={job.busy}>{t("ar.take")}</Button><Button variant="default" onClick={() => { setText(null); job.clear(); }}>{t("app.cancel")}</Button></div>
      </form>
    );
  }
  const machine = (assets.data ?? []).find((each) => each.code === draft.asset);
  return (
    <form className="panel stack" aria-label={t("ar.rule")} onSubmit={(event) => { event.preventDefault(); void save(); }}>
      <h2>{one ? one.rule.name : t("ar.new")}</h2>
      <div className="row wrap" style={{ alignItems: "flex-start" }}>
        <TextInput label={t("ar.name")} withAsterisk maxLength={200} value={draft.name} onChange={(event) => change({ name: event.currentTarget.value })} />
        <TextInput label={t("ar.code")} description={t("ar.codeHint")} withAsterisk maxLength={40} disabled={one !== null} value={draft.code} onChange={(event) => change({ code: event.currentTarget.value })} />
        <NativeSelect label={t("mp.class")} value={draft.asset_class} data={[{ value: "", label: t("ad.everyClass") }, ...[...new Set([...classes, draft.asset_class])].filter(Boolean).map((value) => ({ value, label: code("class", value) }))]} onChange={(event) => change({ asset_class: event.currentTarget.value })} />
        <AssetSelect label={t("alarms.machine")} blank={t("mt.everyAsset")} value={machine ? String(machine.asset_id) : ""} change={(id) => change({ asset: (assets.data ?? []).find((each) => String(each.asset_id) === id)?.code ?? "" })} />
      </div>
      {draft.any.map((group, at) => (
        <fieldset key={at} className="stack" style={{ border: "1px solid var(--line)", borderRadius: 6, padding: 10 }}>
          <legend>{at === 0 ? t("ar.groupFirst") : t("ar.groupNext")}</legend>
          {group.all.map((each, i) => <ConditionForm key={i} one={each} label={`${at + 1}.${i + 1}`} change={(next) => setGroup(at, group.all.map((old, j) => (j === i ? next : old)))} remove={draft.any.length > 1 || group.all.length > 1 ? () => setGroup(at, group.all.filter((_, j) => j !== i)) : undefined} />)}
          <div><Button variant="default" onClick={() => setGroup(at, [...group.all, FRESH])}>{t("ar.addAnd")}</Button></div>
        </fieldset>
      ))}
      <div><Button variant="default" onClick={() => change({ any: [...draft.any, { all: [FRESH] }] })}>{t("ar.addOr")}</Button></div>
      <div className="row wrap" style={{ alignItems: "flex-start" }}>
        <NativeSelect label={t("ar.about")} value={draft.about} data={["machine", "sensor"].map((value) => ({ value, label: code("arAbout", value) }))} onChange={(event) => change({ about: event.currentTarget.value as AlarmRule["about"] })} />
        <NativeSelect label={t("ar.severity")} value={String(draft.severity)} data={[1, 2, 3, 4].map((value) => ({ value: String(value), label: code("severity", value) }))} onChange={(event) => change({ severity: Number(event.currentTarget.value) })} />
      </div>
      <Textarea label={t("ar.advice")} description={t("ar.adviceHint")} maxLength={1000} autosize minRows={2} value={draft.advice} onChange={(event) => change({ advice: event.currentTarget.value })} />
      <Checkbox label={t("ar.whileRunning")} checked={draft.while_running} onChange={(event) => change({ while_running: event.currentTarget.checked })} />
      {found && <Looked found={found} />}
      {theirs ? <Overtaken by={theirs.changed_by} mine={words(draft, speech)} theirs={words(theirs.rule, speech)} take={() => settle(take)} keep={() => settle(keep)} /> : <Refused problem={job.problem} />}
      <div className="row wrap">
        <Button type="submit" loading={job.busy} disabled={!draft.name.trim() || !draft.code.trim()}>{t("app.save")}</Button>
        <Button variant="default" loading={job.busy} disabled={!draft.name.trim() || !draft.code.trim()} onClick={() => void preview()}>{t("ar.preview")}</Button>
        {one && <Button variant="default" onClick={() => setText(one.text)}>{t("ar.asText")}</Button>}
        {!one && <Button variant="default" onClick={() => setText(t("ar.textExample"))}>{t("ar.asText")}</Button>}
        <Button variant="default" onClick={close}>{t("app.cancel")}</Button>
      </div>
    </form>
  );
}

function ConditionForm({ one, label, change, remove }: { one: Condition; label: string; change: (next: Condition) => void; remove?: () => void }) {
  const { t, code } = useSpeech();
  const missing = one.kind === "missing";
  const set = (more: Partial<Condition>) => change({ ...one, ...more });
  const step = (at: number, more: Partial<Condition["steps"][number]>) => set({ steps: one.steps.map((each, i) => (i === at ? { ...each, ...more } : each)) });
  const kind = (next: Kind) => change({ ...one, kind: next, over_s: RATES.includes(next) ? one.over_s || 600 : 0, steps: next === "missing" ? [{ limit: 0, for_s: one.steps[0]?.for_s || 600 }] : one.steps });
  const numeric = { hideControls: true, inputMode: "decimal" as const, decimalScale: 6, w: 130 };
  return (
    <div className="stack tight" role="group" aria-label={t("ar.condition", { label })}>
      <div className="row wrap" style={{ alignItems: "flex-end" }}>
        <TextInput label={t("ar.signal")} maxLength={100} value={one.signal} onChange={(event) => set({ signal: event.currentTarget.value })} w={150} />
        <NativeSelect label={t("ar.says")} value={one.kind} data={KINDS.map((value) => ({ value, label: code("arKind", value) }))} onChange={(event) => kind(event.currentTarget.value as Kind)} />
        {!missing && <TextInput label={t("ar.unit")} maxLength={32} value={one.unit} onChange={(event) => set({ unit: event.currentTarget.value })} w={90} />}
        {RATES.includes(one.kind) && <NumberInput {...numeric} label={t("ar.over")} min={0} value={one.over_s / 60} onChange={(value) => set({ over_s: Number(value) * 60 })} />}
        {!missing && <NumberInput {...numeric} label={t("ar.deadBand", { unit: one.unit || "–" })} min={0} value={one.dead_band} onChange={(value) => set({ dead_band: Number(value) })} />}
      </div>
      {one.steps.map((each, at) => (
        <div key={at} className="row wrap" style={{ alignItems: "flex-end" }}>
          {!missing && <NumberInput {...numeric} label={t("ar.limit", { unit: one.unit || "–" })} value={each.limit} onChange={(value) => step(at, { limit: Number(value) })} />}
          <NumberInput {...numeric} label={t("ar.wait")} min={0} value={each.for_s / 60} onChange={(value) => step(at, { for_s: Number(value) * 60 })} />
          {one.steps.length > 1 && <Button variant="default" aria-label={`${t("ar.dropStep")} ${label}.${at + 1}`} onClick={() => set({ steps: one.steps.filter((_, i) => i !== at) })}>{t("ar.dropStep")}</Button>}
        </div>
      ))}
      <div className="row wrap">
        {!missing && one.steps.length < 6 && <Button variant="default" onClick={() => set({ steps: [...one.steps, { ...one.steps[one.steps.length - 1]!, for_s: 0 }] })}>{t("ar.addStep")}</Button>}
        {remove && <Button variant="default" aria-label={`${t("ar.drop")} ${label}`} onClick={remove}>{t("ar.drop")}</Button>}
      </div>
    </div>
  );
}
