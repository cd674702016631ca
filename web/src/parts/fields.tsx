// The fields that a transition may require, drawn by name; an unknown name becomes a line of text.
import { NativeSelect, Textarea, TextInput } from "@mantine/core";
import { useAsset, useFailureCodes } from "../api/queries";
import type { Ticket } from "../api/types";
import { useSpeech, type Speech } from "../i18n";

export type Values = Record<string, string>;
type Props = { name: string; ticket: Ticket; to: string; values: Values; set: (name: string, value: string) => void; error?: string };

export const VERDICTS = ["confirmed", "other_fault", "nothing_found", "sensor"] as const;
export const HOLD_REASONS = ["waiting_parts", "waiting_window", "waiting_access", "other"] as const;

// Names of the modes that the library ships, for as long as the API's own list cannot be read.
const FALLBACK: Record<string, string[]> = {
  pump: ["bearing_wear", "cavitation", "impeller_wear", "seal_leak"],
  motor: ["bearing_outer_race", "winding_insulation", "imbalance", "misalignment"],
  compressor: ["valve_leak", "cooler_fouling", "bearing_wear"],
  conveyor: ["belt_slip", "idler_bearing", "misalignment"],
};

/** What a form must ask for: what the API requires, plus the fault when the verdict names one. */
export function asked(requires: string[], values: Values): string[] {
  const names = new Set(requires);
  const fault = values.verdict === "confirmed" || values.verdict === "other_fault";
  if (names.has("verdict")) {
    names.delete("failure_code");
    if (fault) names.add("failure_code");
    names.delete("note");
    names.add("note");
  }
  return [...names];
}

/** The values that go out: trimmed, and only those asked for. */
export function outgoing(names: string[], values: Values): Values {
  return Object.fromEntries(names.map((name) => [name, (values[name] ?? "").trim()]).filter(([, value]) => value));
}

export function useFailureChoices(ticket: Ticket): { value: string; label: string }[] {
  const speech = useSpeech();
  const asset = useAsset(ticket.asset?.asset_id ?? null);
  const assetClass = asset.data?.asset_class ?? null;
  const codes = useFailureCodes(assetClass);
  const known = codes.data?.length
    ? codes.data.map((one) => ({ value: one.code, label: speech.say(one.name) }))
    : fallback(assetClass, speech);
  const own = codeOf(ticket) ? ticket.mode : null;
  const listed = own && !known.some((one) => one.value === own.code);
  return listed ? [{ value: own.code, label: speech.say(own.name) }, ...known] : known;
}

/** The order's own mode, if it can be a code: `unknown` says nothing, and a sensor's fault is no code of the machine. */
export function codeOf(ticket: Ticket): string | null {
  const code = ticket.mode?.code ?? "unknown";
  return code === "unknown" || code.includes(":") ? null : code;
}

function fallback(assetClass: string | null, speech: Speech): { value: string; label: string }[] {
  const codes = [...new Set((assetClass && FALLBACK[assetClass]) || Object.values(FALLBACK).flat()), "unknown"];
  return codes.map((value) => ({ value, label: speech.code("mode", value) }));
}

export function Field({ name, ticket, to, values, set, error }: Props) {
  const speech = useSpeech();
  const { t, code } = speech;
  const common = { label: code("field", name), withAsterisk: true, error, size: "md" as const };
  const value = values[name] ?? "";
  if (name === "verdict") {
    const data = VERDICTS.map((one) => ({ value: one, label: t(`verdict.${one}`) }));
    return <Choice {...common} data={data} value={value} onChange={(next) => set(name, next)} />;
  }
  if (name === "failure_code") return <FailureCode {...common} ticket={ticket} value={value} onChange={(next) => set(name, next)} />;
  if (name === "reason" && to === "on_hold") {
    const data = HOLD_REASONS.map((one) => ({ value: one, label: t(`hold.${one}`) }));
    return <Choice {...common} description={t("hold.pauses")} data={data} value={value} onChange={(next) => set(name, next)} />;
  }
  if (name === "note" || name === "reason") {
    return <Textarea {...common} autosize minRows={3} value={value} onChange={(event) => set(name, event.currentTarget.value)} />;
  }
  return <TextInput {...common} value={value} onChange={(event) => set(name, event.currentTarget.value)} />;
}

function FailureCode({ ticket, ...rest }: ChoiceProps & { ticket: Ticket; data?: never }) {
  const choices = useFailureChoices(ticket);
  return <Choice {...rest} data={choices} />;
}

type ChoiceProps = {
  label: string;
  description?: string;
  withAsterisk?: boolean;
  error?: string;
  size?: "md";
  value: string;
  onChange: (value: string) => void;
};

function Choice({ data, onChange, ...rest }: ChoiceProps & { data: { value: string; label: string }[] }) {
  const { t } = useSpeech();
  const choices = [{ value: "", label: t("field.choose") }, ...data];
  return <NativeSelect {...rest} data={choices} onChange={(event) => onChange(event.currentTarget.value)} />;
}
