// Lists by any filter, what people keep, search, bulk edits and reports: the shapes of the API and their queries.
import { keepPreviousData, useQuery, useQueryClient } from "@tanstack/react-query";
import { call, chosenSite, query } from "./client";
import type { Language, TicketItem, Words } from "./types";

export type Form = "text" | "choice" | "number" | "time" | "flag" | "set";
export type Field = { name: string; label: Words; form: Form; unit: string; ops: string[]; sortable: boolean; groupable: boolean };
export type Condition = { field: string; op: string; value?: unknown };
export type ListedTicket = TicketItem & { values: Record<string, unknown> };
export type TicketList = { items: ListedTicket[]; next: string | null; total: number | null };
export type Asked = { filter: Condition[]; sort: string; columns: string[]; text: string };

export type SavedKind = "view" | "report" | "dashboard";
export type Saved<T> = {
  saved_id: number; kind: SavedKind; name: string; audience: "private" | "shared"; owner: string; mine: boolean;
  is_default: boolean; body: T; version: number;
};
export type ViewBody = { filter?: Condition[]; sort?: string[]; columns?: string[]; text?: string };

export type Hit = { kind: "ticket" | "asset" | "article" | "engineer"; id: number; code: string; title: string; state: string; text: string };
export type Answer = { items: Hit[]; meant: Record<string, string[]> };

export type BulkRow = {
  ticket_id: number; ref: string; version: number; version_after: number;
  before: Record<string, unknown>; after: Record<string, unknown>; refused: string | null; code: string | null;
};
export type BulkChanges = { set?: { priority?: number; skill?: string; mode?: string }; assign?: number; add_tags?: string[]; comment?: string };

export type Measure = { name: string; label: Words; unit: string; basis: string };
export type Dimension = { name: string; label: Words; is_time: boolean };
export type Catalogue = { measures: Measure[]; dimensions: Dimension[] };
export type ReportBody = {
  measures: string[]; dimensions: string[]; period: { from: string; until: string }; filter?: Condition[]; sort?: string; limit?: number;
};
export type Report = {
  measures: Measure[]; dimensions: Dimension[]; since: string; until: string; zone: string;
  rows: (string | number | null)[][]; totals: (number | null)[]; cut: number;
};
export type Tile = { title: string; chart: "table" | "number" | "bar" | "line"; width: 1 | 2 | 3; report: ReportBody };
export type Problem = {
  asset_id: number; asset: string; asset_name: string; mode: string | null; count: number; open: number; cost: number;
  downtime_h: number; before: number; share: number;
};

export function useFields() {
  return useQuery({
    queryKey: ["fields"], queryFn: ({ signal }) => call<Field[]>("/lists/fields", { signal }), staleTime: 300_000,
  });
}

export function listPath(asked: Asked, more: Record<string, string | number | boolean | null>): string {
  return `/lists/tickets${query({ ...listQuery(asked), ...more })}`;
}

export function csvAddress(asked: Asked, language: Language): string {
  return `/api/v1/lists/tickets.csv${query({ ...listQuery(asked), locale: language, excel: true, site: chosenSite() })}`;
}

function listQuery(asked: Asked) {
  return {
    filter: asked.filter.length ? JSON.stringify(asked.filter) : null, sort: asked.sort, columns: asked.columns.join(","), q: asked.text,
  };
}

export function useSaved<T>(kind: SavedKind) {
  return useQuery({ queryKey: ["saved", kind], queryFn: ({ signal }) => call<Saved<T>[]>(`/saved${query({ kind })}`, { signal }) });
}

/** Keep, forget or prefer; every list of what is kept is read again. */
export function useKeeping(kind: SavedKind) {
  const client = useQueryClient();
  const again = () => client.invalidateQueries({ queryKey: ["saved", kind] });
  return {
    keep: async <T,>(name: string, audience: "private" | "shared", body: T) => {
      const kept = await call<Saved<T>>("/saved", { method: "POST", body: { kind, name, audience, body } });
      await again();
      return kept;
    },
    forget: async (savedId: number) => {
      await call(`/saved/${savedId}`, { method: "DELETE" });
      await again();
    },
    prefer: async (savedId: number | null) => {
      await call("/saved/default", { method: "POST", body: { kind, saved_id: savedId } });
      await again();
    },
  };
}

export function useSearch(text: string) {
  return useQuery({
    queryKey: ["search", text], queryFn: ({ signal }) => call<Answer>(`/search${query({ q: text, limit: 50 })}`, { signal }), enabled: text !== "",
  });
}

export function useCatalogue() {
  return useQuery({
    queryKey: ["catalogue"], queryFn: ({ signal }) => call<Catalogue>("/reports/catalogue", { signal }), staleTime: 300_000,
  });
}

export function useReport(body: ReportBody) {
  return useQuery({
    queryKey: ["report", body],
    queryFn: ({ signal }) => call<Report>("/reports/run", { method: "POST", body, signal }),
    placeholderData: keepPreviousData,
    enabled: body.measures.length > 0,
  });
}

export function useProblems(by: string, since: string) {
  return useQuery({
    queryKey: ["problems", by, since],
    queryFn: ({ signal }) => call<Problem[]>(`/reports/problems${query({ by, since })}`, { signal }),
    placeholderData: keepPreviousData,
  });
}

export type FileForm = "pdf" | "xlsx" | "csv";
export type Schedule = {
  schedule_id: number; saved_id: number; name: string; owner_id: number; format: FileForm; locale: Language; every: "day" | "week" | "month";
  hour: number; recipients: number[]; next_at: string; last_at: string | null; last_error: string | null; paused: boolean; version: number; changed_by: string;
};
export type Reader = { user_id: number; name: string; role: string };
export type ReportFile = { file_id: number; name: string; due_at: string; made_at: string; bytes: number };

export function readSchedules(signal?: AbortSignal): Promise<Schedule[]> {
  return call<Schedule[]>("/reports/schedules", { signal });
}

export function useSchedules() {
  return useQuery({ queryKey: ["schedule", "list"], queryFn: ({ signal }) => readSchedules(signal), refetchInterval: 30_000 });
}

export function useReaders(enabled: boolean) {
  return useQuery({ queryKey: ["schedule", "readers"], queryFn: ({ signal }) => call<Reader[]>("/reports/readers", { signal }), enabled });
}

export function useReportFiles(scheduleId: number) {
  return useQuery({
    queryKey: ["schedule", "files", scheduleId],
    queryFn: ({ signal }) => call<ReportFile[]>(`/reports/schedules/${scheduleId}/files`, { signal }),
  });
}
