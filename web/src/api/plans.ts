// Plans, job plans, windows, meters and readiness: what the API says of them, and the hooks that read it.
import { useQuery } from "@tanstack/react-query";
import { call, query } from "./client";
import { everyPage, queryClient } from "./queries";
import type { Page, Words } from "./types";

export type Calendar = { every: number; unit: "day" | "week" | "month"; first: string; mode: "fixed" | "floating"; weekdays?: string[]; nth?: number };
export type MeterTrigger = { meter: string; every: number };
export type PlanBody = {
  title: Words; assets: string[]; calendar?: Calendar[]; meter?: MeterTrigger[]; condition?: unknown[]; job_plan?: string;
  lead_days?: number; tolerance_days?: number; absorbs?: string[]; season?: [string, string]; priority?: number; kind?: string; repairs?: string;
};
export type Plan = {
  plan_id: number; code: string; version: number; state: "active" | "paused" | "retired"; body: PlanBody; since: string;
  next_due: string | null; last_done: string | null; open_due: string | null; warnings: Words[]; made_at: string; by_name: string;
};
export type Occurrence = { due: string; state: string; why: Words; ticket_id: number | null; ticket_ref: string | null; ticket_status: string | null; recorded_at: string };
export type PlannedVisit = { day: string; assets: string[]; plans: { code: string; due: string }[]; minutes: number; people: number };
export type Schedule = { visits: PlannedVisit[]; spared: { code: string; due: string; why: Words }[]; weeks: number; truncated: boolean };
export type Totals = { visits: number; due_days: number; spared: number; hours: number };
export type Preview = { weeks: number; before: Totals; after: Totals; days_before: string[]; days_after: string[] };
export type JobPlanBody = {
  title: Words; steps?: Words[]; tools?: Words[]; parts?: { part: string; quantity: number }[]; skill?: string; level?: number; people?: number;
  minutes: number; certificates?: string[]; isolation?: Words[]; permit?: boolean; checklist?: string; guide?: string;
};
export type JobPlan = { code: string; revision: number; state: string; body: JobPlanBody; made_at: string; by_name: string };
export type Readiness = {
  ticket_id: number; ref: string; title: string; status: string; priority: number; version: number; asset_id: number | null; resolve_by: string | null;
  state: "to_plan" | "waiting_parts" | "ready" | "scheduled" | "frozen"; ready: boolean; lacks: { kind: string; text: Words }[];
  window_begins: string | null; window_ends: string | null; cost_h: number; visit: string | null; permit_by: string | null;
  override: { by_name: string; reason: string; made_at: string } | null; job_plans: string[];
};
export type Weekly = { zone: string; weekdays: number[]; opens_min: number; lasts_min: number; every_weeks: number; first_day: string; last_day: string | null };
export type Rule = { window_id: number; version: number; asset_id: number; kind: "window" | "shutdown"; begins: string | null; ends: string | null; weekly: Weekly | null; cost_h: number; note: string };
export type Opening = { begins: string; ends: string; cost_h: number; kind: string };
export type Stops = { restricted: boolean; openings: Opening[]; next: Opening | null; next_cost: number | null; asked_cost: number | null; own_cost_h: number | null };

const KEY = "preventive";

export function usePreventive() {
  return useQuery({ queryKey: [KEY, "plans"], queryFn: ({ signal }) => everyPage<Plan>("/preventive-plans", signal) });
}

export function useSchedule(weeks: number) {
  return useQuery({ queryKey: [KEY, "schedule", weeks], queryFn: ({ signal }) => call<Schedule>(`/plan-schedule${query({ weeks })}`, { signal }) });
}

export function useOccurrences(code: string) {
  return useQuery({ queryKey: [KEY, "occurrences", code], queryFn: async ({ signal }) => (await call<Page<Occurrence>>(`/preventive-plans/${code}/occurrences`, { signal })).items });
}

export function useJobPlans() {
  return useQuery({ queryKey: [KEY, "jobs"], queryFn: ({ signal }) => everyPage<JobPlan>("/job-plans", signal) });
}

export function useReadiness() {
  return useQuery({ queryKey: [KEY, "readiness"], queryFn: async ({ signal }) => (await call<Page<Readiness>>("/readiness", { signal })).items, refetchInterval: 30_000 });
}

export function useRules(assetId: number | null) {
  return useQuery({ queryKey: [KEY, "windows", assetId], queryFn: ({ signal }) => everyPage<Rule>(`/windows${query({ asset_id: assetId })}`, signal), enabled: assetId !== null });
}

export function useStops(assetId: number | null, begins: string, ends: string) {
  return useQuery({
    queryKey: [KEY, "stops", assetId, begins, ends],
    queryFn: ({ signal }) => call<Stops>(`/assets/${assetId}/stops${query({ begins, ends })}`, { signal }),
    enabled: assetId !== null,
  });
}

export function refreshPlans(): Promise<void> {
  return queryClient.invalidateQueries({ queryKey: [KEY] });
}

/** Visits by the week that they lie in (its Monday), every week of the time looked at, empty ones too. */
export function weekly(visits: PlannedVisit[], from: string, weeks: number): { monday: string; visits: PlannedVisit[] }[] {
  const first = monday(from);
  const found = new Map<string, PlannedVisit[]>();
  for (let i = 0; i <= weeks; i++) found.set(plusDays(first, 7 * i), []);
  for (const visit of visits) found.get(monday(visit.day))?.push(visit);
  return [...found].map(([day, those]) => ({ monday: day, visits: those }));
}

export function plusDays(day: string, days: number): string {
  return new Date(Date.parse(`${day}T00:00:00Z`) + days * 86_400_000).toISOString().slice(0, 10);
}

function monday(day: string): string {
  return plusDays(day, -((new Date(`${day}T00:00:00Z`).getUTCDay() + 6) % 7));
}
