// Figures of maintenance, the ledger, frozen evidence, and the gate of detector versions.
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { call, query } from "./client";
import { queryClient } from "./queries";
import type { Page, Words } from "./types";

export type FigureName = "mtbf" | "mttr" | "availability" | "planned_share" | "pm_compliance" | "schedule_compliance" | "backlog_weeks";
export type Figure = {
  name: FigureName; label: Words; unit: "h" | "share" | "weeks"; value: number | null;
  numerator: number; denominator: number; per: number; rows: number;
};
export type Figures = { since: string; until: string; machines: number; figures: Figure[] };
export type FigureRow = { kind: string; id: number; at: string; above: number; below: number; ticket_id: number | null };

/** Expected saving and its 90 % interval. */
export type Worth = { expected: number; low: number; high: number };
export type LedgerLine = {
  ticket_id: number; ref: string; asset_id: number; mode: string; detector: string; version: string;
  done_at: string; made_at: string | null; stop_at: string | null; p_fail: number; loss: number; cost: number; currency: string;
  false: boolean; failed_after: boolean; worth: Worth; evidence: string;
};
export type Ledger = { lines: LedgerLine[]; sums: Record<string, Worth> };
export type Detected = {
  detector: string; version: string; orders: number; right: number; wrong: number; precision: number | null;
  foreseen: number; failures: number; recall: number | null; lead_h: number | null; machines: number; false_month: number | null;
  order_ids: number[]; missed: number[];
};

export type Frozen = { what: "opened" | "closed"; attempt: number; frozen_at: string; sha256: string; bytes: number };

export type StandingWord = "live" | "review" | "shadow";
export type Gated = {
  gate_id: number; detector: string; version: string; standing: StandingWord; row_version: number;
  changed_by: string; changed_at: string; reason: string;
  figures: { days: number; orders: number; shadow: number; right: number; wrong: number; lead_h: number | null; false_month: number };
};
export type GateChange = { standing: StandingWord; changed_by: string; changed_at: string; reason: string; grounds: string; backtest_id: number | null };
export type Stretch = { since: string; until: string };
export const MOST_ROWS = 200;

export function useFigures(span: Stretch) {
  return useQuery({
    queryKey: ["proof", "figures", span],
    queryFn: ({ signal }) => call<Figures>(`/indicators${query(span)}`, { signal }),
    staleTime: 60_000,
    placeholderData: keepPreviousData,
  });
}

export function useFigureRows(name: FigureName, span: Stretch) {
  return useQuery({
    queryKey: ["proof", "figures", span, name],
    queryFn: ({ signal }) => call<Page<FigureRow>>(`/indicators/${name}/rows${query({ ...span, limit: MOST_ROWS })}`, { signal }),
    staleTime: 60_000,
  });
}

export function useLedger(span: Stretch) {
  return useQuery({
    queryKey: ["proof", "ledger", span],
    queryFn: ({ signal }) => call<Ledger>(`/ledger${query(span)}`, { signal }),
    staleTime: 60_000,
    placeholderData: keepPreviousData,
  });
}

export function ledgerFile(span: Stretch): string {
  return `/api/v1/ledger/file${query(span)}`;
}

export function useDetected(span: Stretch) {
  return useQuery({
    queryKey: ["proof", "detected", span],
    queryFn: ({ signal }) => call<Page<Detected>>(`/detectors/figures${query(span)}`, { signal }),
    staleTime: 60_000,
    placeholderData: keepPreviousData,
  });
}

/** Under the topic of orders: it is frozen anew when one opens or closes. */
export function useFrozen(ticketId: number) {
  return useQuery({
    queryKey: ["ticket", "frozen", ticketId],
    queryFn: ({ signal }) => call<Page<Frozen>>(`/tickets/${ticketId}/evidence`, { signal }),
  });
}

export function packFile(ticketId: number): string {
  return `/api/v1/tickets/${ticketId}/evidence/pack`;
}

/** Every order of the machine that opened in the year, as one signed pack. */
export function yearPackFile(assetId: number, year: number): string {
  return `/api/v1/assets/${assetId}/evidence/pack${query({ year })}`;
}

export function useGate(days: string) {
  return useQuery({
    queryKey: ["gate", "list", days],
    queryFn: ({ signal }) => call<Gated[]>(`/maintenance/gate${query({ days })}`, { signal }),
    placeholderData: keepPreviousData,
  });
}

export function useGateChanges(gateId: number) {
  return useQuery({
    queryKey: ["gate", "changes", gateId],
    queryFn: ({ signal }) => call<GateChange[]>(`/maintenance/gate/${gateId}/changes`, { signal }),
  });
}

export async function refreshGate(): Promise<void> {
  await queryClient.invalidateQueries({ queryKey: ["gate"] });
}
