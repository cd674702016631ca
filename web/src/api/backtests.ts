// Back-tests: what settings or a detector's version would have done; asked for, watched, cancelled, kept.
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { call } from "./client";
import { queryClient } from "./queries";

export type Configuration = { asset_class: string; mode: string; asset_id: number | null; settings: Record<string, unknown>; gate_id: number | null };
export const AS_IT_STANDS: Configuration = { asset_class: "*", mode: "*", asset_id: null, settings: {}, gate_id: null };
export type Result = { orders?: number; before_real_faults?: number; false?: number; false_month?: number; failures?: number; failures_foreseen?: number; lead_h?: number | null };
export type Backtest = {
  backtest_id: number; config_hash: string; from_at: string; until_at: string; state: "waiting" | "running" | "done" | "failed" | "cancelled";
  config: { settings?: Record<string, unknown>; scope?: { asset_class: string; mode: string; asset_id: number | null }; lets?: string[] };
  progress: number; reached_at: string | null; why: string; result: Result | null; made_by: string; made_at: string; ended_at: string | null;
};
export type Matching = { config_hash: string; backtests: Backtest[] };

const RUNS_MS = 3_000;
const STANDS_MS = 60_000;

export function goesOn(one: Backtest): boolean {
  return one.state === "waiting" || one.state === "running";
}

function pace(found: Backtest[] | undefined): number {
  return found?.some(goesOn) ? RUNS_MS : STANDS_MS;
}

export function useBacktests() {
  return useQuery({
    queryKey: ["gate", "backtests"],
    queryFn: ({ signal }) => call<Backtest[]>("/maintenance/backtests", { signal }),
    refetchInterval: (query) => pace(query.state.data),
  });
}

/** Those that judged just this configuration. */
export function useMatching(wanted: Configuration) {
  return useQuery({
    queryKey: ["gate", "matching", wanted],
    queryFn: ({ signal }) => call<Matching>("/maintenance/backtests/matching", { method: "POST", body: wanted, signal }),
    refetchInterval: (query) => pace(query.state.data?.backtests),
    placeholderData: keepPreviousData,
  });
}

export async function refreshBacktests(): Promise<void> {
  await queryClient.invalidateQueries({ queryKey: ["gate"] });
}
