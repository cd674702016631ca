// The site's own ticket fields: what they hold, when they must be filled, and where they appear.
import { useState } from "react";
import { Button, NativeSelect, NumberInput, TextInput } from "@mantine/core";
import { call } from "../api/client";
import type { FieldType } from "../api/kinds";
import { fieldRows, KINDS, refreshSettings, useFieldRows, type FieldRow } from "../api/settings";
import type { Me, Words } from "../api/types";
import { useSpeech, type Speech } from "../i18n";
import { Boxes, Difference, filled, Head, isConflict, listed, Overtaken, Refused, useJob, type Lines } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";
import { queryClient } from "../api/queries";

const TYPES: FieldType[] = ["text", "long_text", "number", "integer", "boolean", "date", "datetime", "choice", "multi_choice", "asset", "person", "url"];
const NUMBERS = new Set<string>(["number", "integer"]);
const CHOICES = new Set<string>(["choice", "multi_choice"]);
const MOST_SHOWN = 6;
const STATES = ["assigned", "accepted", "arrived", "on_hold", "done", "closed"];

type Wanted = {
  key: string; label: Words; type: FieldType; unit: string; low: number | null; high: number | null; options: { value: string; label: Words }[];
  kinds: string[]; required: "never" | "open" | "transition"; required_to: string[]; audience: "internal" | "requester"; position: number;
};
const NEW: Wanted = {
  key: "", label: { en: "", zh: "" }, type: "text", unit: "", low: null, high: null, options: [], kinds: [], required: "never", required_to: [], audience: "internal", position: 0,
};

export default function FieldsPage({ me }: { me: Me }) {
  const { t } = useSpeech();
  const fields = useFieldRows();
  const [edited, setEdited] = useState<FieldRow | "new" | null>(null);
  const may = me.role !== "planner";
  return (
    <>
      <Head title={t("setting.fields")} lead={t("setting.fieldsLead")} back={t("setting.title")} backTo="#/settings">
        {may && <Button onClick={() => setEdited("new")}>{t("cf.new")}</Button>}
      </Head>
      <div className="stack">
        {edited && <FieldForm key={edited === "new" ? "new" : edited.key} field={edited === "new" ? null : edited} close={() => setEdited(null)} />}
        <Await query={fields}>{(items) => (items.length === 0 ? <div className="panel"><Empty title={t("cf.empty")} /></div> : <List items={items} may={may} edit={setEdited} />)}</Await>
      </div>
    </>
  );
}

async function refresh(): Promise<void> {
  await refreshSettings();
  await queryClient.invalidateQueries({ queryKey: ["field"] });
}

function limits(field: Wanted, speech: Speech): string {
  if (field.options.length > MOST_SHOWN) return speech.t("cf.values", { n: field.options.length });
  if (field.options.length > 0) return field.options.map((one) => speech.say(one.label)).join(" / ");
  if (field.low === null && field.high === null) return field.unit || "–";
  return `${field.low ?? "…"} – ${field.high ?? "…"} ${field.unit}`;
}

function List({ items, may, edit }: { items: FieldRow[]; may: boolean; edit: (field: FieldRow) => void }) {
  const speech = useSpeech();
  const { t, code, say } = speech;
  const job = useJob();
  const retire = (field: FieldRow) => job.run(async () => {
    try {
      await call(`/fields/${field.field_id}`, { method: "PATCH", version: field.version, body: { retired: field.retired_at === null } });
    } finally {
      await refresh(); // a refusal too: what somebody else made of it is to be seen
    }
  });
  return (
    <>
      <Refused problem={job.problem} />
      <div className="scroll">
        <table className="list cards middle">
          <thead>
            <tr>
              <th scope="col">{t("cf.field")}</th><th scope="col">{t("cf.type")}</th><th scope="col">{t("cf.limits")}</th><th scope="col">{t("cf.kinds")}</th>
              <th scope="col">{t("cf.required")}</th><th scope="col">{t("cf.audience")}</th>{may && <th scope="col">{t("setting.actions")}</th>}
            </tr>
          </thead>
          <tbody>
            {items.map((one) => (
              <tr key={one.key}>
                <th scope="row"><strong>{say(one.label)}</strong> <code className="soft small">{one.key}</code> {one.retired_at && <span className="chip">{t("cf.retired")}</span>}</th>
                <td data-label={t("cf.type")}>{code("cfType", one.type)}</td>
                <td data-label={t("cf.limits")} style={{ maxWidth: 300 }}>{limits(one, speech)}</td>
                <td data-label={t("cf.kinds")}>{one.kinds.map((kind) => code("kind", kind)).join(", ") || t("slas.everyKind")}</td>
                <td data-label={t("cf.required")}>{code("cfRequired", one.required)}{one.required_to.length > 0 && `: ${one.required_to.map((state) => code("status", state)).join(", ")}`}</td>
                <td data-label={t("cf.audience")}>{code("cfAudience", one.audience)}</td>
                {may && (
                  <td data-label={t("setting.actions")}>
                    {one.field_id === null ? <span className="soft">{t("life.builtIn")}</span> : (
                      <span className="row" style={{ flexWrap: "nowrap" }}>
                        <Button size="xs" variant="default" aria-label={`${t("setting.change")} ${say(one.label)}`} onClick={() => edit(one)}>{t("setting.change")}</Button>
                        <Button size="xs" variant="default" loading={job.busy} aria-label={`${t(one.retired_at ? "cf.takeUp" : "cf.retire")} ${say(one.label)}`} onClick={() => void retire(one)}>{t(one.retired_at ? "cf.takeUp" : "cf.retire")}</Button>
                      </span>
                    )}
                  </td>
                )}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function wantedOf(field: FieldRow): Wanted {
  const { key, label, type, unit, low, high, options, kinds, required, required_to, audience, position } = field;
  return { key, label, type, unit, low, high, options, kinds, required, required_to, audience, position };
}

function linesOfField(field: Wanted, speech: Speech): Lines {
  const { t, code } = speech;
  return {
    [t("setting.nameEn")]: field.label.en,
    [t("setting.nameZh")]: field.label.zh,
    [t("cf.limits")]: limits(field, speech),
    [t("cf.options")]: field.options.map((one) => `${one.value} (${one.label.en} / ${one.label.zh})`).join("; "),
    [t("cf.kinds")]: field.kinds.map((kind) => code("kind", kind)).join(", "),
    [t("cf.required")]: [code("cfRequired", field.required), ...field.required_to.map((state) => code("status", state))].join(" "),
    [t("cf.audience")]: code("cfAudience", field.audience),
    [t("cf.position")]: String(field.position),
  };
}

function FieldForm({ field, close }: { field: FieldRow | null; close: () => void }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const job = useJob();
  const [wanted, setWanted] = useState<Wanted>(field ? wantedOf(field) : NEW);
  const [version, setVersion] = useState(field?.version ?? 0);
  const [theirs, setTheirs] = useState<FieldRow | null>(null);
  const set = (more: Partial<Wanted>) => setWanted({ ...wanted, ...more });
  const save = () => job.run(async () => {
    const full = { ...wanted, label: filled(wanted.label), options: CHOICES.has(wanted.type) ? wanted.options.map((one) => ({ ...one, label: filled(one.label) })) : [] };
    const { key: _, type: __, ...changes } = full;
    try {
      if (field) await call(`/fields/${field.field_id}`, { method: "PATCH", version, body: changes });
      else await call("/fields", { method: "POST", body: full });
    } catch (error) {
      if (field && isConflict(error as never)) setTheirs((await fieldRows()).find((one) => one.field_id === field.field_id) ?? null);
      throw error;
    }
    await refresh();
    toast(t("cf.saved"));
    close();
  });
  const settle = (next: Wanted) => {
    setWanted(next);
    setVersion(theirs?.version ?? version);
    setTheirs(null);
    job.clear();
  };
  return (
    <section className="panel stack">
      <h2>{field ? t("cf.changeOf", { key: field.key }) : t("cf.new")}</h2>
      <div className="row" style={{ alignItems: "flex-start" }}>
        {!field && <TextInput label={t("cf.key")} withAsterisk description={t("cf.keyHint")} value={wanted.key} onChange={(event) => set({ key: event.currentTarget.value })} />}
        <TextInput label={t("setting.nameEn")} value={wanted.label.en} onChange={(event) => set({ label: { ...wanted.label, en: event.currentTarget.value } })} />
        <TextInput label={t("setting.nameZh")} value={wanted.label.zh} onChange={(event) => set({ label: { ...wanted.label, zh: event.currentTarget.value } })} />
        {!field && <NativeSelect label={t("cf.type")} value={wanted.type} data={TYPES.map((value) => ({ value, label: code("cfType", value) }))} onChange={(event) => set({ type: event.currentTarget.value as FieldType })} />}
        {NUMBERS.has(wanted.type) && (
          <>
            <TextInput label={t("cf.unit")} w={100} value={wanted.unit} onChange={(event) => set({ unit: event.currentTarget.value })} />
            <NumberInput label={t("cf.low")} w={120} value={wanted.low ?? ""} onChange={(value) => set({ low: value === "" ? null : Number(value) })} />
            <NumberInput label={t("cf.high")} w={120} value={wanted.high ?? ""} onChange={(value) => set({ high: value === "" ? null : Number(value) })} />
          </>
        )}
        <NumberInput label={t("cf.position")} w={120} value={wanted.position} onChange={(value) => set({ position: Number(value) || 0 })} />
      </div>
      {CHOICES.has(wanted.type) && <Options wanted={wanted} set={set} />}
      <Boxes label={t("cf.kinds")} hint={t("cf.kindsHint")} all={KINDS} chosen={wanted.kinds} words={(one) => code("kind", one)} change={(kinds) => set({ kinds })} />
      <div className="row" style={{ alignItems: "flex-end" }}>
        <NativeSelect label={t("cf.required")} value={wanted.required} data={["never", "open", "transition"].map((value) => ({ value, label: code("cfRequired", value) }))} onChange={(event) => set({ required: event.currentTarget.value as Wanted["required"] })} />
        <NativeSelect label={t("cf.audience")} value={wanted.audience} data={["internal", "requester"].map((value) => ({ value, label: code("cfAudience", value) }))} onChange={(event) => set({ audience: event.currentTarget.value as Wanted["audience"] })} />
      </div>
      {wanted.required === "transition" && <Boxes label={t("cf.requiredTo")} all={STATES} chosen={wanted.required_to} words={(one) => code("status", one)} change={(required_to) => set({ required_to })} />}
      {field && <section className="stack tight"><h3>{t("slas.changes")}</h3><Difference was={linesOfField(wantedOf(field), speech)} is={linesOfField(wanted, speech)} /></section>}
      {theirs
        ? <Overtaken by={theirs.changed_by} mine={linesOfField(wanted, speech)} theirs={linesOfField(wantedOf(theirs), speech)} take={() => settle(wantedOf(theirs))} keep={() => settle(wanted)} />
        : <Refused problem={job.problem} />}
      <div className="row">
        <Button loading={job.busy} disabled={!wanted.key || !(wanted.label.en || wanted.label.zh)} onClick={() => void save()}>{t("app.save")}</Button>
        <Button variant="default" onClick={close}>{t("app.cancel")}</Button>
      </div>
    </section>
  );
}

function Options({ wanted, set }: { wanted: Wanted; set: (more: Partial<Wanted>) => void }) {
  const { t } = useSpeech();
  const [text, setText] = useState("");
  const put = (at: number, more: Partial<Words>) => set({ options: wanted.options.map((one, i) => (i === at ? { ...one, label: { ...one.label, ...more } } : one)) });
  const add = () => {
    const fresh = listed(text).filter((value) => !wanted.options.some((one) => one.value === value));
    set({ options: [...wanted.options, ...fresh.map((value) => ({ value, label: { en: value, zh: value } }))] });
    setText("");
  };
  return (
    <fieldset className="stack tight" style={{ border: 0, padding: 0, margin: 0 }}>
      <legend className="strong">{t("cf.options")}</legend>
      {wanted.options.map((one, at) => (
        <div className="row" key={one.value}>
          <code style={{ minWidth: 90 }}>{one.value}</code>
          <TextInput aria-label={`${one.value}: ${t("setting.nameEn")}`} value={one.label.en} onChange={(event) => put(at, { en: event.currentTarget.value })} />
          <TextInput aria-label={`${one.value}: ${t("setting.nameZh")}`} value={one.label.zh} onChange={(event) => put(at, { zh: event.currentTarget.value })} />
          <Button size="xs" variant="default" aria-label={`${t("setting.remove")} ${one.value}`} onClick={() => set({ options: wanted.options.filter((_, i) => i !== at) })}>{t("setting.remove")}</Button>
        </div>
      ))}
      <div className="row" style={{ alignItems: "flex-end" }}>
        <TextInput label={t("cf.newOptions")} description={t("setting.commas")} value={text} onChange={(event) => setText(event.currentTarget.value)} />
        <Button size="sm" variant="default" disabled={!text.trim()} onClick={add}>{t("cf.addOptions")}</Button>
      </div>
    </fieldset>
  );
}
