// Assets as a table, why they matter, failure-mode libraries and verdicts: shapes, readers, senders.
import { useQuery } from "@tanstack/react-query";
import { call, chosenSite, newKey, Problem, query } from "./client";
import { queryClient } from "./queries";
import type { Page, Words } from "./types";

export type Counted = { created: number; changed: number; unchanged: number };
export type TableItem = {
  row: number; asset: string; signal: string | null; change: "created" | "changed" | "unchanged";
  fields: { name: string; before: string | number | null; after: string | number | null }[];
};
export type TableProblem = { row: number; column: string; message: Words };
export type TableResult = { applied: boolean; assets: Counted; signals: Counted; problems: TableProblem[]; items: TableItem[] };

/** Sends the file as it is; `dryRun` changes nothing. Throws `Problem`. */
export async function sendTable(file: File, dryRun: boolean): Promise<TableResult> {
  const headers = new Headers({ "X-Requested-With": "millwright", "Idempotency-Key": newKey(), "Content-Type": "application/octet-stream" });
  const site = chosenSite();
  if (site) headers.set("X-Site", site);
  let response: Response;
  try {
    response = await fetch(`/api/v1/asset-table${query({ dry_run: dryRun })}`, { method: "POST", credentials: "same-origin", headers, body: file });
  } catch {
    throw new Problem(0, { code: "unreachable" });
  }
  const body: unknown = await response.json().catch(() => ({}));
  if (!response.ok) throw new Problem(response.status, body as Record<string, unknown>);
  await queryClient.invalidateQueries({ queryKey: ["asset"] });
  return body as TableResult;
}

/** Where the table is fetched from: by cookie, on the chosen site. */
export function tableUrl(form: "csv" | "xlsx", locale: string): string {
  return `/api/v1/asset-table${query({ form, locale, site: chosenSite() })}`;
}

export type Care = {
  asset_id: number; code: string; parent: string | null; level: string; criticality: number;
  consequence: number | null; likelihood: number | null; proposed: number | null; reason: string; version: number;
};

export function useCare(assetId: number) {
  return useQuery({ queryKey: ["asset", assetId, "care"], queryFn: ({ signal }) => call<Care>(`/assets/${assetId}/care`, { signal }) });
}

export type ClassItem = { asset_class: string; name: Words; source: "shipped" | "data_directory" | "upload"; version: number | null; modes: number; machines: number };
export type Sign = { quantity: string; words: string[]; direction: number; weight: number; alert: number | null; unit: string };
type Lines = { en: string[]; zh: string[] };
export type ModeDetail = {
  code: string; name: Words; iso_mode: string; mechanism: string; mechanism_name: Words; cause: string; cause_name: Words; caused_by: string[]; skill: string; lead_h: number;
  cost_planned: number; cost_failure: number; currency: string; signature: Sign[]; effect: Words; checks: Lines; parts: Lines;
  lockout: Lines; article: Words; judged: number;
};
export type Library = ClassItem & { skill: string; modes_shown: ModeDetail[] };
export type LibraryPreview = { asset_class: string; name: Words; modes: { code: string; change: string }[]; machines: number };

export function useLibraries() {
  return useQuery({
    queryKey: ["library"],
    queryFn: ({ signal }) => call<{ items: ClassItem[]; refused: { file: string; why: string }[] }>("/libraries", { signal }),
  });
}

export function useLibrary(assetClass: string) {
  return useQuery({ queryKey: ["library", assetClass], queryFn: ({ signal }) => call<Library>(`/libraries/${assetClass}`, { signal }) });
}

export type LibraryVersion = { version: number; note: string; made_by: string; made_at: string; retired_at: string | null };

export function useLibraryVersions(assetClass: string) {
  return useQuery({
    queryKey: ["library", assetClass, "versions"],
    queryFn: ({ signal }) => call<LibraryVersion[]>(`/libraries/${assetClass}/versions`, { signal }),
  });
}

export function libraryVersionFile(assetClass: string, version: number): string {
  return `/api/v1/libraries/${assetClass}/versions/${version}`;
}

export type Verdict = {
  verdict_id: number; ticket_id: number | null; asset_id: number; detector: string; mode: string; verdict: string;
  failure_code: string | null; given_by: string; given_at: string; version: number; corrected_by: string | null; corrected_at: string | null;
};

export function useVerdicts() {
  return useQuery({ queryKey: ["verdict"], queryFn: ({ signal }) => call<Page<Verdict>>("/verdicts?limit=100", { signal }) });
}
