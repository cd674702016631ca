// The site's own fields: an input for each type, the form of a ticket, and what a ticket says.
import { useState, type FormEvent } from "react";
import { Button, MultiSelect, NativeSelect, NumberInput, Select, Textarea, TextInput } from "@mantine/core";
import { call, Problem } from "../api/client";
import { refreshTickets, useCustomFields, type CustomField, type CustomValues } from "../api/kinds";
import { useAssets } from "../api/queries";
import type { Me, Ticket } from "../api/types";
import { useSpeech, type Speech } from "../i18n";
import { isOpen } from "./marks";

const PLANNERS = ["planner", "manager", "admin"];

type InputProps = { field: CustomField; value: unknown; set: (value: unknown) => void; required?: boolean; error?: string };

export function CustomInput({ field, value, set, required, error }: InputProps) {
  const { t, say } = useSpeech();
  const label = say(field.label) + (field.unit ? ` (${field.unit})` : "");
  const common = { label, withAsterisk: required, error };
  const text = value === null || value === undefined ? "" : String(value);
  const words = (next: string) => set(next === "" ? null : next);
  const options = field.options.map((one) => ({ value: one.value, label: say(one.label) }));
  if (field.type === "boolean") {
    return (
      <NativeSelect
        {...common} value={text} onChange={(event) => set(event.currentTarget.value === "" ? null : event.currentTarget.value === "true")}
        data={[{ value: "", label: t("field.choose") }, { value: "true", label: t("kinds.yes") }, { value: "false", label: t("kinds.no") }]}
      />
    );
  }
  if (field.type === "number" || field.type === "integer") {
    const limits = { min: field.low ?? undefined, max: field.high ?? undefined };
    return (
      <NumberInput
        {...common} {...limits} clampBehavior="none" allowDecimal={field.type === "number"} value={text}
        onChange={(next) => set(next === "" ? null : Number(next))}
      />
    );
  }
  if (field.type === "choice") {
    return <Select {...common} data={options} clearable searchable={options.length > 8} value={text || null} onChange={(next) => set(next)} />;
  }
  if (field.type === "multi_choice") {
    const chosen = Array.isArray(value) ? value.map(String) : [];
    return <MultiSelect {...common} data={options} value={chosen} onChange={(next) => set(next.length ? next : null)} />;
  }
  if (field.type === "asset") return <AssetInput {...common} value={text} set={set} />;
  if (field.type === "long_text") {
    return <Textarea {...common} autosize minRows={2} value={text} onChange={(event) => words(event.currentTarget.value)} />;
  }
  if (field.type === "datetime") {
    const local = text ? localTime(text) : "";
    const change = (next: string) => set(next ? new Date(next).toISOString() : null);
    return <TextInput {...common} type="datetime-local" value={local} onChange={(event) => change(event.currentTarget.value)} />;
  }
  if (field.type === "person") {
    return <NumberInput {...common} allowDecimal={false} min={1} value={text} onChange={(next) => set(next === "" ? null : Number(next))} />;
  }
  const type = field.type === "date" ? "date" : field.type === "url" ? "url" : "text";
  return <TextInput {...common} type={type} value={text} onChange={(event) => words(event.currentTarget.value)} />;
}

function AssetInput({ label, withAsterisk, error, value, set }: {
  label: string; withAsterisk?: boolean; error?: string; value: string; set: (value: unknown) => void;
}) {
  const assets = useAssets();
  const data = (assets.data ?? []).map((one) => ({ value: String(one.asset_id), label: `${one.code} ${one.name}` }));
  return (
    <Select
      label={label} withAsterisk={withAsterisk} error={error} data={data} searchable clearable value={value || null}
      onChange={(next) => set(next ? Number(next) : null)}
    />
  );
}

/** The inputs of a new ticket's kind; the values are kept by whoever asks. */
export function CustomInputs({ fields, values, set, required }: {
  fields: CustomField[]; values: CustomValues; set: (values: CustomValues) => void; required: (field: CustomField) => boolean;
}) {
  return (
    <>
      {fields.map((field) => (
        <CustomInput
          key={field.key} field={field} value={values[field.key]} required={required(field)}
          set={(value) => set({ ...values, [field.key]: value })}
        />
      ))}
    </>
  );
}

/** What a ticket says in the site's own fields, and the form to change it. */
export function CustomFields({ ticket, me }: { ticket: Ticket; me: Me }) {
  const speech = useSpeech();
  const { t, say } = speech;
  const fields = useCustomFields(ticket.kind);
  const [editing, setEditing] = useState(false);
  const known = fields.data ?? [];
  if (known.length === 0) return null;
  const own = me.engineer_id !== null && ticket.assignee?.engineer_id === me.engineer_id;
  const may = isOpen(ticket.status) && (PLANNERS.includes(me.role) || own);
  const filled = known.filter((field) => ticket.fields[field.key] !== undefined);
  return (
    <section className="panel stack">
      <h2>{t("kinds.fields")}</h2>
      {!editing && filled.length === 0 && <p className="soft">{t("kinds.noFields")}</p>}
      {!editing && (
        <dl className="facts">
          {filled.map((field) => (
            <div key={field.key} style={{ display: "contents" }}>
              <dt>{say(field.label)}</dt><dd>{shown(field, ticket.fields[field.key], speech)}</dd>
            </div>
          ))}
        </dl>
      )}
      {may && !editing && <div><Button variant="default" size="xs" onClick={() => setEditing(true)}>{t("kinds.edit")}</Button></div>}
      {editing && <EditFields ticket={ticket} fields={known} done={() => setEditing(false)} />}
    </section>
  );
}

function EditFields({ ticket, fields, done }: { ticket: Ticket; fields: CustomField[]; done: () => void }) {
  const { t } = useSpeech();
  const [changed, setChanged] = useState<CustomValues>({});
  const [problem, setProblem] = useState("");
  const [sending, setSending] = useState(false);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (Object.keys(changed).length === 0) return done();
    setSending(true);
    try {
      await call(`/tickets/${ticket.ticket_id}`, { method: "PATCH", body: { fields: changed }, version: ticket.version });
      await refreshTickets();
      done();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setProblem(error.status === 0 ? t("send.failed") : error.detail);
    } finally {
      setSending(false);
    }
  };
  return (
    <form className="stack" onSubmit={(event) => void submit(event)} noValidate>
      <CustomInputs fields={fields} values={{ ...ticket.fields, ...changed }} required={(field) => field.required === "open"} set={(next) => setChanged(difference(ticket.fields, next))} />
      <div className="row">
        <Button type="submit" loading={sending}>{t("app.save")}</Button>
        <Button variant="default" onClick={done}>{t("app.cancel")}</Button>
      </div>
      {problem && <div className="problem" role="alert"><span>{problem}</span></div>}
    </form>
  );
}

function difference(before: CustomValues, after: CustomValues): CustomValues {
  const names = Object.keys(after).filter((name) => JSON.stringify(before[name] ?? null) !== JSON.stringify(after[name] ?? null));
  return Object.fromEntries(names.map((name) => [name, after[name] ?? null]));
}

function shown(field: CustomField, value: unknown, speech: Speech) {
  const word = (one: unknown) => speech.say(field.options.find((option) => option.value === one)?.label) || String(one);
  if (Array.isArray(value)) return value.map(word).join(", ");
  if (typeof value === "boolean") return speech.t(value ? "kinds.yes" : "kinds.no");
  if (field.type === "url") return <a href={String(value)} rel="noreferrer noopener" target="_blank">{String(value)}</a>;
  if (field.type === "asset") return <a href={`#/assets/${String(value)}`}>#{String(value)}</a>;
  if (field.options.length > 0) return word(value);
  return field.unit ? `${String(value)} ${field.unit}` : String(value);
}

function localTime(text: string): string {
  const at = new Date(text);
  return Number.isNaN(at.getTime()) ? "" : new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

