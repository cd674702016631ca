// Plans and stock: what the API says of them, and the hooks that read it.
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { ask, type Answer, type Schemas } from "./ask";
import { call, query } from "./client";
import { everyPage, queryClient } from "./queries";
import type { Words } from "./rules";
import type { Page } from "./types";

export type PlanStatus = "planning" | "draft" | "accepted" | "superseded" | "discarded" | "failed";
export type Plan = {
  plan_id: number; status: PlanStatus; cause: string; maker: string | null; reason: string; cost: number | null;
  greedy_cost: number | null; moved: number; left_over: { ticket_id: number; ref: string; why: Words }[]; made_at: string;
  base_id: number | null; because: { cause: "emergency" | "sickness" | "overrun"; name: string }[]; by_itself: boolean;
};
export type Visit = {
  visit_id: number; ticket_id: number; ref: string; title: string; priority: number; engineer_id: number; engineer: string;
  starts: string; ends: string; frozen: boolean; change: "new" | "same" | "moved"; reasons: Words[];
  travel_s: number; parts: { code: string; name: string; unit: string; store: string; reserved: number; consumed: number }[];
};
export type After = "off" | "propose" | "adopt";
export type DispatchSettings = Record<string, unknown> & { replanning: After };
export type PlanDetail = Plan & { visits: Visit[] };
export type Level = Schemas["LevelShown"];
export type Purchase = Schemas["PurchaseShown"];

/** The plans, asked for every second while one is being made. */
export function usePlans() {
  return useQuery({
    queryKey: ["plan", "list"],
    queryFn: ({ signal }) => call<Page<Plan>>("/plans", { signal }),
    refetchInterval: (found) => (found.state.data?.items.some((plan) => plan.status === "planning") ? 1000 : 30_000),
  });
}

export function usePlan(planId: number | null, status: string) {
  return useQuery({
    queryKey: ["plan", "one", planId, status],
    queryFn: ({ signal }) => call<PlanDetail>(`/plans/${planId}`, { signal }),
    enabled: planId !== null,
    placeholderData: keepPreviousData,
  });
}

export function useDispatchSettings(enabled: boolean) {
  return useQuery({ queryKey: ["plan", "settings"], queryFn: ({ signal }) => call<DispatchSettings>("/dispatch/settings", { signal }), enabled });
}

export function useLevels() {
  return useQuery({ queryKey: ["stock", "levels"], queryFn: ({ signal }) => ask("GET /stock", { signal }), refetchInterval: 30_000 });
}

export function usePurchases(settled: boolean) {
  return useQuery({
    queryKey: ["stock", "purchases", settled],
    queryFn: ({ signal }) => ask("GET /purchase-requests", { query: { settled }, signal }),
  });
}

export type PartLine = {
  store_id: number; store: string; part_id: number; code: string; name: string; unit: string; reserved: number; consumed: number; amount: number;
};

export function useParts(ticketId: number) {
  return useQuery({
    queryKey: ["work", ticketId, "parts"], // sent entries of this order make it stale
    queryFn: ({ signal }) => call<Page<PartLine>>(`/tickets/${ticketId}/parts`, { signal }),
    placeholderData: keepPreviousData,
  });
}

/** What stands, or a newer draft (or one being made), which is what a planner looks at. */
export function current(plans: Plan[]): Plan | null {
  const shown = plans.filter((plan) => ["planning", "draft", "accepted"].includes(plan.status));
  return shown.reduce<Plan | null>((newest, plan) => (newest === null || plan.plan_id > newest.plan_id ? plan : newest), null);
}

/** Visits by person, and the days that they lie on, as the site's clock shows them. */
export function board(visits: Visit[], zone: string): { days: string[]; people: [number, string, Map<string, Visit[]>][] } {
  const day = new Intl.DateTimeFormat("en-CA", { timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit" });
  const people = new Map<number, [number, string, Map<string, Visit[]>]>();
  const days = new Set<string>();
  for (const visit of visits) {
    const on = day.format(new Date(visit.starts));
    days.add(on);
    const row = people.get(visit.engineer_id) ?? [visit.engineer_id, visit.engineer, new Map<string, Visit[]>()];
    row[2].set(on, [...(row[2].get(on) ?? []), visit]);
    people.set(visit.engineer_id, row);
  }
  return { days: [...days].sort(), people: [...people.values()].sort((one, other) => one[1].localeCompare(other[1])) };
}

export type Part = Answer<"PUT /parts">;
export type Store = Answer<"PUT /stores">;
export type KitLine = Schemas["KitLineShown"];

export function usePartList() {
  return useQuery({ queryKey: ["stock", "parts"], queryFn: ({ signal }) => everyPage<Part>("/parts", signal) });
}

export function useStores() {
  return useQuery({ queryKey: ["stock", "stores"], queryFn: ({ signal }) => readStores(signal) });
}

export function useKits() {
  return useQuery({ queryKey: ["stock", "kits"], queryFn: ({ signal }) => readKits(signal) });
}

export async function readStores(signal?: AbortSignal): Promise<Store[]> {
  return (await ask("GET /stores", { signal })).items;
}

export async function readKits(signal?: AbortSignal): Promise<KitLine[]> {
  return (await ask("GET /kits", { signal })).items;
}

export async function partNamed(code: string): Promise<Part | undefined> {
  return (await everyPage<Part>(`/parts${query({ q: code })}`)).find((one) => one.code === code);
}

export async function refreshStock(): Promise<void> {
  await queryClient.invalidateQueries({ queryKey: ["stock"] });
}
