// Every read of the API as a hook; keys begin with the live topic that makes them stale (see live.ts).
import { keepPreviousData, QueryClient, useQuery, useQueryClient } from "@tanstack/react-query";
import { call, Problem, query } from "./client";
import { plantNow, synchronise } from "./clock";
import type {
  Account, Alarm, Article, Asset, AssetItem, Clock, DetectorReport, Engineer, FailureCode, LifeModel, Me, Notice, Page, PipelineReport, Prediction, PredictionRecord,
  QuarantineRow, Series, SystemReport, Ticket, TicketEvent, TicketItem,
} from "./types";

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 10_000,
      gcTime: 24 * 3600_000,
      retry: (count, error) => error instanceof Problem && error.retryable && count < 2,
      networkMode: "always",
    },
    mutations: { networkMode: "always", retry: false },
  },
});

const LIVE_MS = 30_000; // the safety net under server-sent events

export function useMe() {
  return useQuery({ queryKey: ["me"], queryFn: ({ signal }) => call<Me>("/me", { signal }), staleTime: 300_000 });
}

export function useClock() {
  return useQuery({
    queryKey: ["clock"],
    queryFn: async ({ signal }) => {
      const clock = await call<Clock>("/clock", { signal });
      synchronise(clock);
      return clock;
    },
    refetchInterval: 60_000,
  });
}

export function usePredictions() {
  return useQuery({
    queryKey: ["prediction", "list"],
    queryFn: ({ signal }) => call<Page<Prediction>>(`/predictions${query({ limit: 100 })}`, { signal }),
    refetchInterval: LIVE_MS,
    placeholderData: keepPreviousData,
  });
}

/** How good the models of remaining life were so far, by class. */
export function usePredictionRecords() {
  return useQuery({
    queryKey: ["prediction", "record"],
    queryFn: ({ signal }) => call<Page<PredictionRecord>>("/prediction-records", { signal }),
    staleTime: 60_000,
  });
}

export function useLifeModels() {
  return useQuery({
    queryKey: ["prediction", "models"],
    queryFn: async ({ signal }) => (await call<Page<LifeModel>>("/life-models", { signal })).items,
    staleTime: 60_000,
  });
}

export function useAlarm(alarmId: number, enabled: boolean) {
  return useQuery({
    queryKey: ["alarm", "one", alarmId],
    queryFn: ({ signal }) => call<Alarm>(`/alarms/${alarmId}`, { signal }),
    enabled,
  });
}

export type TicketFilter = {
  status?: string;
  kind?: string;
  assignee?: string | number;
  asset_id?: number;
  q?: string;
  open?: boolean;
  limit?: number;
};

export function useTickets(filter: TicketFilter) {
  return useQuery({
    queryKey: ["ticket", "list", filter],
    queryFn: ({ signal }) => call<Page<TicketItem>>(`/tickets${query({ limit: 100, ...filter })}`, { signal }),
    refetchInterval: LIVE_MS,
    placeholderData: keepPreviousData,
  });
}

export function ticketQuery(ticketId: number) {
  return {
    queryKey: ["ticket", "one", ticketId],
    queryFn: ({ signal }: { signal?: AbortSignal }) => call<Ticket>(`/tickets/${ticketId}`, { signal }),
  };
}

export function useTicket(ticketId: number) {
  return useQuery({ ...ticketQuery(ticketId), refetchInterval: LIVE_MS });
}

export function useTicketEvents(ticketId: number) {
  return useQuery({
    queryKey: ["ticket", "events", ticketId],
    queryFn: ({ signal }) => everyPage<TicketEvent>(`/tickets/${ticketId}/events`, signal),
  });
}

export function useAssets(enabled = true) {
  return useQuery({
    queryKey: ["asset", "list"],
    queryFn: ({ signal }) => everyPage<AssetItem>("/assets", signal),
    enabled,
    refetchInterval: 15_000,
    placeholderData: keepPreviousData,
  });
}

export function useAsset(assetId: number | null) {
  return useQuery({
    queryKey: ["asset", "one", assetId],
    queryFn: ({ signal }) => call<Asset>(`/assets/${assetId}`, { signal }),
    enabled: assetId !== null,
    refetchInterval: 5_000,
  });
}

/** The last `spanS` plant seconds of a signal, or the fixed window ending at `endMs`. */
export function useSeries(signalId: number | null, spanS: number, maxPoints = 800) {
  return useQuery({
    queryKey: ["series", signalId, spanS, maxPoints],
    queryFn: ({ signal }) => {
      const end = plantNow();
      const range = { start: iso(end - spanS * 1000), end: iso(end), max_points: maxPoints };
      return call<Series>(`/signals/${signalId}/series${query(range)}`, { signal });
    },
    enabled: signalId !== null,
    refetchInterval: spanS <= 6 * 3600 ? 5_000 : 20_000,
    placeholderData: (previous, earlier) => (earlier?.queryKey[1] === signalId ? previous : undefined),
  });
}

export function useArticle(articleId: number | string | null) {
  return useQuery({
    queryKey: ["article", articleId],
    queryFn: ({ signal }) => call<Article>(`/articles/${articleId}`, { signal }),
    enabled: articleId !== null,
    staleTime: 3600_000,
  });
}

export function useEngineers(enabled = true) {
  return useQuery({
    queryKey: ["engineer"],
    queryFn: ({ signal }) => everyPage<Engineer>("/engineers", signal),
    enabled,
  });
}

export function useQuarantine() {
  return useQuery({
    queryKey: ["quarantine", "list"],
    queryFn: ({ signal }) => everyPage<QuarantineRow>("/quarantine", signal),
    refetchInterval: 15_000,
  });
}

export function useSystem() {
  return useQuery({
    queryKey: ["system"],
    queryFn: ({ signal }) => call<SystemReport>("/system", { signal }),
    refetchInterval: 3_000,
  });
}

export function usePipeline() {
  return useQuery({
    queryKey: ["source", "list"],
    queryFn: ({ signal }) => call<PipelineReport>("/pipeline", { signal }),
    refetchInterval: 3_000,
  });
}

/** Whether everything that was sent adds up; asked for, not followed: it reads the whole ledger. */
export function useBalance(enabled: boolean) {
  return useQuery({
    queryKey: ["balance"],
    queryFn: ({ signal }) => call<Page<Account>>("/pipeline/reconcile", { signal }),
    enabled,
    staleTime: Infinity,
  });
}

export function useDetectors() {
  return useQuery({
    queryKey: ["detector"],
    queryFn: ({ signal }) => everyPage<DetectorReport>("/detectors", signal),
  });
}

export function useNotices() {
  return useQuery({
    queryKey: ["notification"],
    queryFn: ({ signal }) => call<Page<Notice>>(`/notifications${query({ unread: true })}`, { signal }),
    refetchInterval: LIVE_MS,
  });
}

export function useFailureCodes(assetClass: string | null) {
  return useQuery({
    queryKey: ["modes", assetClass],
    queryFn: ({ signal }) => everyPage<FailureCode>(`/modes${query({ asset_class: assetClass })}`, signal),
    staleTime: 3600_000,
    retry: false,
  });
}

export function useRefresh(): (topic: string) => Promise<void> {
  const client = useQueryClient();
  return (topic) => client.invalidateQueries({ queryKey: [topic] });
}

/** Follows the cursor to its end; also takes a bare array, which some small lists may be. */
export async function everyPage<T>(path: string, signal?: AbortSignal): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | null = null;
  do {
    const joint = path.includes("?") ? "&" : "?";
    const next: string = cursor ? `${path}${joint}cursor=${encodeURIComponent(cursor)}` : path;
    const page: Page<T> | T[] = await call<Page<T> | T[]>(next, { signal });
    if (Array.isArray(page)) return page;
    items.push(...page.items);
    cursor = page.next ?? null;
  } while (cursor && items.length < 5000);
  return items;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
