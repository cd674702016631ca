// The review queue, the cost curve of a prediction, and maintenance policies. Keys begin with "prediction": an alarm
// that changes makes them stale (see live.ts).
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { call, query } from "./client";
import { queryClient } from "./queries";
import type { Prediction, Words } from "./types";

export type BestMoment = { start_at: string; what: What; total: number; now_total: number };
export type What = "now" | "window" | "wait";
export type Proposal = {
  review_id: number;
  version: number;
  state: "open" | "accepted" | "merged" | "rejected" | "ended";
  why: "policy" | "unproven" | "gate";
  alarm_id: number;
  prediction_id: number | null;
  asset: Prediction["asset"];
  mode: Prediction["mode"];
  proposed_at: string;
  due_at: string;
  owner: string | null;
  reason: string | null;
  decided_by: string | null;
  decided_at: string | null;
  risk: number;
  p10_h: number | null;
  p50_h: number | null;
  p90_h: number | null;
  p_fail_horizon: number | null;
  horizon_h: number | null;
  made_at: string | null;
  cost: { planned: number; failure: number; currency: string } | null;
  moment: BestMoment | null;
  sentence: Words;
  contributions: Prediction["contributions"];
  reasons: Words[];
  ticket: { ticket_id: number; ref: string; status: string } | null;
};
export type ProposalDetail = Proposal & { orders: { ticket_id: number; ref: string; status: string; title: string }[] };
export type Queue = { items: Proposal[]; open: number; snoozed: number };
export type QueueState = "open" | "snoozed" | "decided";

export type CurvePoint = {
  hours: number; start_at: string; p_fail: number; total: number; failure: number; work: number; stopping: number; travel: number;
  parts: number; life: number; in_window: boolean;
};
export type Curve = {
  prediction_id: number;
  at: string;
  currency: string;
  start_at: string;
  what: What;
  chosen: CurvePoint;
  alternatives: (CurvePoint & { what: What; chosen: boolean })[];
  points: CurvePoint[];
  windows: { start_at: string; end_at: string }[];
  lead_h: number;
  reasons: Words[];
};

export type MaintenancePolicy = {
  policy_id: number;
  version: number;
  asset_class: string;
  mode: string;
  asset_id: number | null;
  active: boolean;
  settings: Record<string, unknown>;
  changed_at: string;
  changed_by: string;
};
export type PolicySetting = { name: string; unit: string; least: number; most: number; optional: boolean; shipped: unknown };
export type PolicyPreview = {
  days: number;
  alarms: number;
  opens_now: number;
  would_open: number;
  earlier: number;
  later: number;
  different: {
    alarm_id: number; asset_id: number; asset_code: string; asset_name: string; mode: { code: string; name: Words };
    detected_at: string; opened_at: string | null; would_open_at: string | null;
  }[];
};
export type PolicyVersion = { version: number; active: boolean; settings: Record<string, unknown>; changed_at: string; changed_by: string };

export function useQueue(state: QueueState, text: string) {
  return useQuery({
    queryKey: ["prediction", "review", state, text],
    queryFn: ({ signal }) => call<Queue>(`/review${query({ state, q: text, limit: state === "open" ? 20 : 50 })}`, { signal }),
    refetchInterval: 30_000,
  });
}

export function useProposal(reviewId: number) {
  return useQuery({
    queryKey: ["prediction", "review", "one", reviewId],
    queryFn: ({ signal }) => call<ProposalDetail>(`/review/${reviewId}`, { signal }),
  });
}

export function useCurve(predictionId: number) {
  return useQuery({
    queryKey: ["prediction", "curve", predictionId],
    queryFn: ({ signal }) => call<Curve>(`/predictions/${predictionId}/curve`, { signal }),
    staleTime: Infinity,
    retry: false,
  });
}

export function usePolicies() {
  return useQuery({ queryKey: ["policies"], queryFn: ({ signal }) => call<MaintenancePolicy[]>("/maintenance/policies", { signal }) });
}

export function usePolicySettings() {
  return useQuery({
    queryKey: ["policies", "settings"],
    queryFn: ({ signal }) => call<PolicySetting[]>("/maintenance/policies/settings", { signal }),
    staleTime: Infinity,
  });
}

export type InForce = { settings: Record<string, unknown>; made_of: { policy_id: number; version: number }[] };

/** The settings that hold in a scope, made of all that apply. */
export function useInForce(scope: { asset_class: string; mode: string; asset_id: number | null } | null) {
  return useQuery({
    queryKey: ["policies", "in-force", scope],
    queryFn: ({ signal }) => call<InForce>(`/maintenance/policies/in-force${query({ ...scope })}`, { signal }),
    enabled: scope !== null,
    placeholderData: keepPreviousData,
  });
}

export function usePolicyVersions(policyId: number) {
  return useQuery({
    queryKey: ["policies", policyId, "versions"],
    queryFn: ({ signal }) => call<PolicyVersion[]>(`/maintenance/policies/${policyId}/versions`, { signal }),
  });
}

export async function refreshReview(): Promise<void> {
  await Promise.all([
    queryClient.invalidateQueries({ queryKey: ["prediction"] }),
    queryClient.invalidateQueries({ queryKey: ["ticket"] }),
  ]);
}

export async function refreshPolicies(): Promise<void> {
  await queryClient.invalidateQueries({ queryKey: ["policies"] });
}
