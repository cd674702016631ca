// One row of conditions: each a field, a comparison and a value; the address keeps them.
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { useState, type FormEvent } from "react";
import { useFields, type Condition, type Field } from "../api/lists";
import { useSpeech, type Key } from "../i18n";

const BARE = new Set(["empty", "filled"]);
const MANY = new Set(["in", "not_in", "any", "all", "none", "between"]);

export function Conditions({ conditions, change }: { conditions: Condition[]; change: (next: Condition[]) => void }) {
  const { t, say } = useSpeech();
  const fields = useFields();
  const [adding, setAdding] = useState(false);
  const named = new Map((fields.data ?? []).map((field) => [field.name, field]));
  return (
    <div className="row wrap conditions">
      {conditions.map((each, at) => (
        <button
          key={at} type="button" className="chip tall-link" aria-label={t("find.removeFilter", { filter: told(each) })}
          onClick={() => change(conditions.filter((_, other) => other !== at))}
        >
          {told(each)} ×
        </button>
      ))}
      <Button size="xs" variant="default" aria-expanded={adding} onClick={() => setAdding(!adding)}>{t("find.addFilter")}</Button>
      {adding && fields.data && (
        <Adding fields={fields.data} add={(condition) => { change([...conditions, condition]); setAdding(false); }} />
      )}
    </div>
  );

  function told(condition: Condition): string {
    const value = Array.isArray(condition.value) ? condition.value.join(", ") : String(condition.value ?? "");
    return `${say(named.get(condition.field)?.label) || condition.field} ${t(`op.${condition.op}` as Key)} ${value}`.trim();
  }
}

function Adding({ fields, add }: { fields: Field[]; add: (condition: Condition) => void }) {
  const { t, say } = useSpeech();
  const [name, setName] = useState("priority");
  const field = fields.find((each) => each.name === name) ?? fields[0];
  const [op, setOp] = useState("");
  const [value, setValue] = useState("");
  if (!field) return null;
  const chosen = field.ops.includes(op) ? op : (field.ops[0] ?? "");
  const given = BARE.has(chosen) ? undefined : read(field, chosen, field.form === "flag" && !value ? "true" : value);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (given !== null) add(given === undefined ? { field: name, op: chosen } : { field: name, op: chosen, value: given });
  };
  return (
    <form className="row wrap" onSubmit={submit}>
      <NativeSelect
        aria-label={t("find.field")} value={name} onChange={(event) => { setName(event.currentTarget.value); setValue(""); }}
        data={fields.map((each) => ({ value: each.name, label: say(each.label) }))}
      />
      <NativeSelect
        aria-label={t("find.comparison")} value={chosen} onChange={(event) => setOp(event.currentTarget.value)}
        data={field.ops.map((each) => ({ value: each, label: t(`op.${each}` as Key) }))}
      />
      {field.form === "flag" ? (
        <NativeSelect
          aria-label={t("find.value")} value={value || "true"} onChange={(event) => setValue(event.currentTarget.value)}
          data={[{ value: "true", label: t("find.yes") }, { value: "false", label: t("find.no") }]}
        />
      ) : (
        !BARE.has(chosen) && (
          <TextInput
            aria-label={t("find.value")} value={value} onChange={(event) => setValue(event.currentTarget.value)}
            placeholder={field.form === "time" ? "today-7d" : MANY.has(chosen) ? t("find.byCommas") : field.unit}
          />
        )
      )}
      <Button type="submit" disabled={given === null}>{t("find.add")}</Button>
    </form>
  );
}

/** The value as the API wants it; null while it is none. */
function read(field: Field, op: string, text: string): unknown {
  if (field.form === "flag") return text === "true";
  const parts = text.split(/[,，]/).map((part) => part.trim()).filter(Boolean);
  const values = parts.map((part) => (field.form === "number" ? Number(part) : part));
  if (values.length === 0 || values.some((one) => typeof one === "number" && !Number.isFinite(one))) return null;
  if (MANY.has(op)) return op === "between" && values.length !== 2 ? null : values;
  return field.form === "number" ? values[0] : text.trim();
}
