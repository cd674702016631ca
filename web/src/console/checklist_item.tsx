// One line of a checklist: what it asks, its limits or choices, and when it applies.
import { useState } from "react";
import { Button, NativeSelect, NumberInput, TextInput } from "@mantine/core";
import type { CheckChoice, CheckItem } from "../api/settings";
import { useSpeech } from "../i18n";
import { listed } from "../parts/setting";

const TYPES = ["tick", "number", "choice", "text", "photo"];
const RELATIONS = ["is", "is_not", "above", "below", "outcome"];

export function ItemForm({ item, earlier, change }: { item: CheckItem; earlier: CheckItem[]; change: (next: CheckItem) => void }) {
  const { t, code } = useSpeech();
  const set = (more: Partial<CheckItem>) => change({ ...item, ...more });
  const pick = (label: string, family: string, values: string[], value: string, put: (next: string) => void) => (
    <NativeSelect label={label} value={value} data={values.map((one) => ({ value: one, label: code(family, one) }))} onChange={(event) => put(event.currentTarget.value)} />
  );
  return (
    <div className="stack" style={{ paddingLeft: 12, borderLeft: "3px solid var(--line)" }}>
      <div className="row" style={{ alignItems: "flex-end" }}>
        <TextInput label={t("life.key")} w={140} value={item.code} onChange={(event) => set({ code: event.currentTarget.value })} />
        <TextInput label={t("clist.textEn")} value={item.text.en} style={{ flex: "1 1 220px" }} onChange={(event) => set({ text: { ...item.text, en: event.currentTarget.value } })} />
        <TextInput label={t("clist.textZh")} value={item.text.zh} style={{ flex: "1 1 220px" }} onChange={(event) => set({ text: { ...item.text, zh: event.currentTarget.value } })} />
      </div>
      <div className="row" style={{ alignItems: "flex-end" }}>
        {pick(t("clist.type"), "clType", TYPES, item.type, (type) => change({ code: item.code, text: item.text, need: item.need, photo: item.photo, on_failure: item.on_failure, when: item.when, type: type as CheckItem["type"] }))}
        {item.type === "number" && (
          <>
            <TextInput label={t("cf.unit")} w={90} value={item.unit ?? ""} onChange={(event) => set({ unit: event.currentTarget.value })} />
            <NumberInput label={t("cf.low")} w={110} value={item.low ?? ""} onChange={(value) => set({ low: value === "" ? null : Number(value) })} />
            <NumberInput label={t("cf.high")} w={110} value={item.high ?? ""} onChange={(value) => set({ high: value === "" ? null : Number(value) })} />
          </>
        )}
        {pick(t("clist.need"), "clNeed", ["mandatory", "optional"], item.need ?? "mandatory", (need) => set({ need }))}
        {pick(t("clist.photo"), "clPhoto", ["never", "always", "on_failure"], item.photo ?? "never", (photo) => set({ photo }))}
        {pick(t("clist.failure"), "clFailure", ["follow_up", "note"], item.on_failure ?? "follow_up", (on_failure) => set({ on_failure }))}
      </div>
      {item.type === "choice" && <Choices choices={item.choices ?? []} change={(choices) => set({ choices })} />}
      {earlier.length > 0 && <When item={item} earlier={earlier} set={set} />}
    </div>
  );
}

function Choices({ choices, change }: { choices: CheckChoice[]; change: (next: CheckChoice[]) => void }) {
  const { t, code } = useSpeech();
  const [text, setText] = useState("");
  const put = (at: number, more: Partial<CheckChoice>) => change(choices.map((one, i) => (i === at ? { ...one, ...more } : one)));
  const add = () => {
    const fresh = listed(text).filter((value) => !choices.some((one) => one.value === value));
    change([...choices, ...fresh.map((value) => ({ value, label: { en: value, zh: value }, outcome: "ok" as const }))]);
    setText("");
  };
  return (
    <fieldset className="stack tight" style={{ border: 0, padding: 0, margin: 0 }}>
      <legend className="strong">{t("clist.choices")}</legend>
      {choices.map((one, at) => (
        <div className="row" key={one.value}>
          <code style={{ minWidth: 80 }}>{one.value}</code>
          <TextInput aria-label={`${one.value}: ${t("setting.nameEn")}`} value={one.label.en} onChange={(event) => put(at, { label: { ...one.label, en: event.currentTarget.value } })} />
          <TextInput aria-label={`${one.value}: ${t("setting.nameZh")}`} value={one.label.zh} onChange={(event) => put(at, { label: { ...one.label, zh: event.currentTarget.value } })} />
          <NativeSelect aria-label={`${one.value}: ${t("clist.outcome")}`} value={one.outcome} data={["ok", "failed", "not_applicable"].map((value) => ({ value, label: code("clOutcome", value) }))} onChange={(event) => put(at, { outcome: event.currentTarget.value as CheckChoice["outcome"] })} />
          <Button size="xs" variant="default" aria-label={`${t("setting.remove")} ${one.value}`} onClick={() => change(choices.filter((_, i) => i !== at))}>{t("setting.remove")}</Button>
        </div>
      ))}
      <div className="row" style={{ alignItems: "flex-end" }}>
        <TextInput label={t("cf.newOptions")} description={t("setting.commas")} value={text} onChange={(event) => setText(event.currentTarget.value)} />
        <Button size="sm" variant="default" disabled={!text.trim()} onClick={add}>{t("cf.addOptions")}</Button>
      </div>
    </fieldset>
  );
}

function When({ item, earlier, set }: { item: CheckItem; earlier: CheckItem[]; set: (more: Partial<CheckItem>) => void }) {
  const { t, say, code } = useSpeech();
  const when = item.when ?? null;
  const asked = earlier.find((one) => one.code === when?.item);
  const put = (more: Partial<NonNullable<CheckItem["when"]>>) => set({ when: { item: earlier[0]?.code ?? "", relation: "is", value: "", ...when, ...more } });
  const value = (text: string) => {
    if (when?.relation === "above" || when?.relation === "below" || (asked?.type === "number" && when?.relation !== "outcome")) return Number(text);
    return asked?.type === "tick" && when?.relation !== "outcome" ? text === "true" : text;
  };
  return (
    <div className="row" style={{ alignItems: "flex-end" }}>
      <NativeSelect
        label={t("clist.applies")} value={when?.item ?? ""} data={[{ value: "", label: t("life.always") }, ...earlier.map((one) => ({ value: one.code, label: say(one.text) || one.code }))]}
        onChange={(event) => (event.currentTarget.value ? put({ item: event.currentTarget.value }) : set({ when: null }))}
      />
      {when && (
        <>
          <NativeSelect aria-label={t("clist.relation")} value={when.relation} data={RELATIONS.map((one) => ({ value: one, label: code("clRelation", one) }))} onChange={(event) => put({ relation: event.currentTarget.value })} />
          <TextInput label={t("clist.value")} description={asked?.type === "choice" ? asked.choices?.map((one) => one.value).join(", ") : undefined} value={String(when.value)} onChange={(event) => put({ value: value(event.currentTarget.value) })} />
        </>
      )}
    </div>
  );
}
