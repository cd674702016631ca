// What a site sets for itself: life cycles, service levels, fields, codes, checklists. Shapes, readers, refreshing.
import { useQuery } from "@tanstack/react-query";
import { call, query } from "./client";
import type { CustomField } from "./kinds";
import { queryClient } from "./queries";
import type { Page, TicketKind, Words } from "./types";

export const KINDS: TicketKind[] = ["request", "incident", "corrective", "preventive", "inspection", "sensor-fault"];

// -- life cycles ------------------------------------------------------------------------------------------------------

export type Need = string | { field: string; when: Record<string, string[]> };
export type Step = { from: string[]; to: string; label: Words; roles: string[]; guards?: string[]; requires?: Need[] };
export type StateOf = { label: Words; stops?: string[]; resumes?: string[]; pauses_for?: string[] };
export type Life = { initial: string; states: Record<string, StateOf>; transitions: Step[] };
export type LifeVersion = { version: number; active: boolean; note: string; published_at: string | null; published_by: string; open_tickets: number };
export type LifeDraft = { definition: Life; based_on: number; revision: number; changed_at: string; changed_by: string; problems: string[] };
export type Lifecycle = { kind: TicketKind; definition: Life; toml: string; versions: LifeVersion[]; draft: LifeDraft | null };
export type Lifecycles = {
  items: { kind: TicketKind; version: number; published_at: string | null; published_by: string; has_draft: boolean }[];
  roles: string[]; guards: string[]; fields: string[]; clocks: string[];
};
type Way = { source: string; to: string };
export type Standing = { version: number; state: string; count: number; refs: string[]; fate: "same" | "changed" | "homeless" };
export type LifePreview = {
  problems: string[]; sentences: Words[]; states_added: string[]; states_removed: string[]; states_changed: string[];
  roles: { role: string; gains: Way[]; losses: Way[] }[]; open_tickets: Standing[];
};

export function useLifecycles() {
  return useQuery({ queryKey: ["setting", "lifecycles"], queryFn: ({ signal }) => call<Lifecycles>("/lifecycles", { signal }) });
}

export function lifecycle(kind: string, version?: number): Promise<Lifecycle> {
  return call<Lifecycle>(`/lifecycles/${kind}${query({ version })}`);
}

export function useLifecycle(kind: string) {
  return useQuery({ queryKey: ["setting", "lifecycle", kind], queryFn: () => lifecycle(kind) });
}

/** Where open tickets stand beside the active version. */
export function useStandings(kind: string, definition: Life) {
  return useQuery({
    queryKey: ["setting", "standings", kind, JSON.stringify(definition)],
    queryFn: () => call<LifePreview>(`/lifecycles/${kind}/preview`, { method: "POST", body: { definition } }),
  });
}

// -- service levels ---------------------------------------------------------------------------------------------------

export type SlaClock = "response" | "update" | "resolution";
export const CLOCKS: SlaClock[] = ["response", "update", "resolution"];
export type Mark = { clock: SlaClock | "*"; fraction?: number; offset_s?: number; whom: string[]; do: "notice" | "raise_priority" | "reassign" };
export type Conditions = { criticality?: number[]; areas?: string[]; tags?: string[]; teams?: string[] };
export type PolicyBody = {
  code: string; name: string; kind: string; priority: number | null; calendar_id: number | null;
  response_s: number | null; update_s: number | null; resolution_s: number | null;
  conditions: Conditions; marks: Mark[]; pauses: Record<string, SlaClock[]> | null;
};
export type Policy = PolicyBody & { sla_policy_id: number; version: number; changed_at: string; changed_by: string };
export type SlaPreview = {
  open_tickets: number; looked_at: number; tickets_moved: number; clocks_moved: number; earlier: number; later: number; begun: number; used_up: number;
  moved: { ticket_id: number; ref: string; clock: string; due_at: string | null; would_be_due_at: string | null; policy: string; used_up: boolean }[];
};
export type Holiday = string | Record<string, unknown>;
export type CalendarBody = { name: string; timezone: string; hours: Record<string, [string, string][]>; holidays: Holiday[] };
export type Calendar = CalendarBody & { calendar_id: number; version: number; is_default: boolean; changed_at: string; changed_by: string };
export type BodyVersion = { version: number; changed_at: string; changed_by: string; body: Record<string, unknown> };

export function usePolicies() {
  return useQuery({ queryKey: ["setting", "policies"], queryFn: ({ signal }) => call<Policy[]>("/sla/policies", { signal }) });
}

export function useCalendars() {
  return useQuery({ queryKey: ["setting", "calendars"], queryFn: ({ signal }) => call<Calendar[]>("/calendars", { signal }) });
}

export function useVersions(path: string) {
  return useQuery({ queryKey: ["setting", "versions", path], queryFn: ({ signal }) => call<BodyVersion[]>(`${path}/versions`, { signal }) });
}

// -- fields, codes, checklists ----------------------------------------------------------------------------------------

export type FieldRow = CustomField & { audience: "internal" | "requester"; position: number; retired_at: string | null; version: number; changed_by: string };
export type FailureCode = {
  code_id: number | null; part: "mode" | "mechanism" | "cause"; code: string; name: Words; asset_class: string; mechanism: string | null; version: number; changed_by: string;
};
export type CheckCondition = { item: string; relation: string; value: string | number | boolean };
export type CheckChoice = { value: string; label: Words; outcome: "ok" | "failed" | "not_applicable" };
export type CheckItem = {
  code: string; type: "tick" | "number" | "choice" | "text" | "photo"; text: Words; need?: string; photo?: string; on_failure?: string;
  unit?: string; low?: number | null; high?: number | null; choices?: CheckChoice[]; when?: CheckCondition | null;
};
export type CheckTemplate = {
  template_id: number; code: string; revision: number; asset_class: string; mode: string; kind: string; state: "active" | "retired";
  shipped: boolean; made_at: string; by: string; title: Words; items: CheckItem[];
};

export function fieldRows(signal?: AbortSignal): Promise<FieldRow[]> {
  return call<Page<FieldRow>>("/fields?retired=true", { signal }).then((page) => page.items);
}

export function useFieldRows() {
  return useQuery({ queryKey: ["setting", "fields"], queryFn: ({ signal }) => fieldRows(signal) });
}

export function failureCodes(signal?: AbortSignal): Promise<FailureCode[]> {
  return call<Page<FailureCode>>("/failure-codes", { signal }).then((page) => page.items);
}

export function useFailureCodes() {
  return useQuery({ queryKey: ["setting", "codes"], queryFn: ({ signal }) => failureCodes(signal) });
}

export function templates(signal?: AbortSignal): Promise<CheckTemplate[]> {
  return call<Page<CheckTemplate>>("/checklists", { signal }).then((page) => page.items);
}

export function useTemplates() {
  return useQuery({ queryKey: ["setting", "checklists"], queryFn: ({ signal }) => templates(signal) });
}

export async function refreshSettings(): Promise<void> {
  await queryClient.invalidateQueries({ queryKey: ["setting"] });
}
