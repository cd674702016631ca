// The forms of one state and of one step.
import { useEffect, useRef, useState } from "react";
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { useFieldRows, type Life, type Lifecycles, type Need, type StateOf, type Step } from "../api/settings";
import { useSpeech } from "../i18n";
import { both, Boxes, filled, listed } from "../parts/setting";
import { fieldText, ordered, stateName } from "./lifecycle_tables";

const NAME = /^[a-z][a-z_]{0,31}$/;
const KEPT = new Set(["done", "closed", "cancelled"]);

type Shared = { life: Life; words: Lifecycles; change: (next: Life) => void; close: () => void };

/** A form that opens below a table shows itself to the eye and to the keyboard. */
function useShown() {
  const place = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    place.current?.focus();
    place.current?.scrollIntoView({ block: "nearest" });
  }, []);
  return place;
}

export function StateForm({ life, name, words, change, close }: Shared & { name: string }) {
  const { t, code } = useSpeech();
  const place = useShown();
  const before: StateOf | undefined = life.states[name];
  const [key, setKey] = useState(name);
  const [state, setState] = useState<StateOf>(before ?? { label: { en: "", zh: "" } });
  const set = (more: Partial<StateOf>) => setState({ ...state, ...more });
  const used = life.initial === name || life.transitions.some((step) => step.to === name || step.from.includes(name));
  const good = NAME.test(key) && (before !== undefined || life.states[key] === undefined);
  const save = () => {
    change({ ...life, states: { ...life.states, [key]: { ...state, label: filled(both(state.label)) } } });
    close();
  };
  const drop = () => {
    const { [name]: _, ...rest } = life.states;
    change({ ...life, states: rest });
    close();
  };
  return (
    <section className="panel stack">
      <h2 ref={place} tabIndex={-1}>{before ? t("life.changeState", { state: name }) : t("life.addState")}</h2>
      <div className="row" style={{ alignItems: "flex-start" }}>
        {!before && <TextInput label={t("life.key")} description={t("life.keyHint")} value={key} error={key && !good ? t("life.keyBad") : undefined} onChange={(event) => setKey(event.currentTarget.value)} />}
        <TextInput label={t("setting.nameEn")} value={state.label.en} onChange={(event) => set({ label: { ...state.label, en: event.currentTarget.value } })} />
        <TextInput label={t("setting.nameZh")} value={state.label.zh} onChange={(event) => set({ label: { ...state.label, zh: event.currentTarget.value } })} />
      </div>
      <Boxes label={t("life.stops")} all={words.clocks} chosen={state.stops ?? []} words={(one) => code("slaClock", one)} change={(stops) => set({ stops })} />
      <Boxes label={t("life.resumes")} all={words.clocks} chosen={state.resumes ?? []} words={(one) => code("slaClock", one)} change={(resumes) => set({ resumes })} />
      <TextInput label={t("life.pauses")} description={t("setting.commas")} defaultValue={(state.pauses_for ?? []).join(", ")} onChange={(event) => set({ pauses_for: listed(event.currentTarget.value) })} />
      <div className="row">
        <Button disabled={!good} onClick={save}>{t("setting.apply")}</Button>
        <Button variant="default" onClick={close}>{t("app.cancel")}</Button>
        {before && <Button variant="default" disabled={used || KEPT.has(name)} onClick={drop}>{t("setting.remove")}</Button>}
        {before && (used || KEPT.has(name)) && <span className="soft small">{t("life.stateUsed")}</span>}
      </div>
    </section>
  );
}

export function StepForm({ life, at, words, change, close }: Shared & { at: number }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const place = useShown();
  const [step, setStep] = useState<Step>(life.transitions[at] as Step);
  const set = (more: Partial<Step>) => setStep({ ...step, ...more });
  const states = ordered(life);
  const save = () => {
    change({ ...life, transitions: life.transitions.map((one, i) => (i === at ? { ...step, label: filled(step.label) } : one)) });
    close();
  };
  return (
    <section className="panel stack">
      <h2 ref={place} tabIndex={-1}>{t("life.step")}</h2>
      <div className="row" style={{ alignItems: "flex-end" }}>
        <TextInput label={t("setting.nameEn")} value={step.label.en} onChange={(event) => set({ label: { ...step.label, en: event.currentTarget.value } })} />
        <TextInput label={t("setting.nameZh")} value={step.label.zh} onChange={(event) => set({ label: { ...step.label, zh: event.currentTarget.value } })} />
        <NativeSelect label={t("life.to")} value={step.to} data={states.map((value) => ({ value, label: stateName(life, value, speech) }))} onChange={(event) => set({ to: event.currentTarget.value })} />
      </div>
      <Boxes label={t("life.from")} all={states.filter((one) => one !== "closed" && one !== "cancelled")} chosen={step.from} words={(one) => stateName(life, one, speech)} change={(from) => set({ from })} />
      <Boxes label={t("life.who")} all={words.roles} chosen={step.roles} words={(one) => code("role", one)} change={(roles) => set({ roles })} />
      <Boxes label={t("life.guards")} all={words.guards} chosen={step.guards ?? []} words={(one) => code("lifeGuard", one)} change={(guards) => set({ guards })} />
      <Needs needs={step.requires ?? []} fields={words.fields} change={(requires) => set({ requires })} />
      <div className="row">
        <Button disabled={step.from.length === 0 || !(step.label.en || step.label.zh)} onClick={save}>{t("setting.apply")}</Button>
        <Button variant="default" onClick={close}>{t("app.cancel")}</Button>
      </div>
    </section>
  );
}

function Needs({ needs, fields, change }: { needs: Need[]; fields: string[]; change: (next: Need[]) => void }) {
  const speech = useSpeech();
  const { t, say } = speech;
  const own = useFieldRows();
  const known = [
    ...fields.filter((one) => !one.includes("<")).map((value) => ({ value, label: fieldText(value, speech) })),
    ...(own.data ?? []).filter((one) => !one.retired_at).map((one) => ({ value: `fields.${one.key}`, label: say(one.label) })),
  ];
  const put = (at: number, next: Need | null) => change(next === null ? needs.filter((_, i) => i !== at) : needs.map((one, i) => (i === at ? next : one)));
  return (
    <fieldset className="stack tight" style={{ border: 0, padding: 0, margin: 0 }}>
      <legend className="strong">{t("life.needs")}</legend>
      {needs.map((need, at) => <OneNeed key={at} n={at + 1} need={need} known={known} put={(next) => put(at, next)} />)}
      <div><Button size="xs" variant="default" onClick={() => change([...needs, "note"])}>{t("life.addNeed")}</Button></div>
    </fieldset>
  );
}

function OneNeed({ n, need, known, put }: { n: number; need: Need; known: { value: string; label: string }[]; put: (next: Need | null) => void }) {
  const { t } = useSpeech();
  const field = typeof need === "string" ? need : need.field;
  const [asked, values] = typeof need === "string" ? ["", []] : (Object.entries(need.when)[0] ?? ["", []]);
  const make = (name: string, other: string, of: string[]) => put(other ? { field: name, when: { [other]: of } } : name);
  const options = known.some((one) => one.value === field) ? known : [...known, { value: field, label: field }];
  return (
    <div className="row" style={{ alignItems: "flex-end" }}>
      <NativeSelect label={t("life.need", { n })} value={field} data={options} onChange={(event) => make(event.currentTarget.value, asked, values)} />
      <NativeSelect label={t("life.onlyIf")} value={asked} data={[{ value: "", label: t("life.always") }, ...known]} onChange={(event) => make(field, event.currentTarget.value, values)} />
      {asked && <TextInput label={t("life.isOneOf")} description={t("setting.commas")} defaultValue={values.join(", ")} onChange={(event) => make(field, asked, listed(event.currentTarget.value))} />}
      <Button size="sm" variant="default" aria-label={`${t("setting.remove")} ${t("life.need", { n })}`} onClick={() => put(null)}>{t("setting.remove")}</Button>
    </div>
  );
}
