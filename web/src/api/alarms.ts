// Alarms as the console lists them, what holds them, what they have in common, and how well they serve people.
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { call, query } from "./client";
import type { Alarm, AssetRef, Mode, Page, TicketRef, Words } from "./types";

const LIVE_MS = 30_000;

export type AlarmRow = Alarm & {
  asset: AssetRef;
  severity: number;
  held: string;
  returns: number;
  returned_at: string | null;
  chatter_at: string | null;
  stale_at: string | null;
  shelved_by: string | null;
  shelve_reason: string | null;
};
export type AlarmWish = { state: string; held: string; severity: string };
export type Hold = {
  hold_id: number; alarm_id: number; asset_id: number; asset_code: string; asset_name: string;
  kind: string; why: Words; since: string; until: string | null;
};
export type Group = {
  group_id: number; scope: Words; cause: Words; why: Words; first_at: string; monitored: number; members: number;
  broke_out: number; ended_at: string | null; closed_at: string | null; ticket: TicketRef | null;
};
export type Member = {
  alarm_id: number; asset_id: number; asset_code: string; asset_name: string; onset_at: string; left_at: string | null;
  why: Words; returned_at: string | null;
};
export type Figure = { figure: string; value: number; unit: string; target: string | null; met: boolean | null };
export type Hygiene = { start: string; end: string; people: number; figures: Figure[] };
export type Behind = {
  alarm_id: number; asset_id: number; asset_code: string; asset_name: string; mode: Mode; state: string; severity: number;
  count: number;
};

export function useAlarms(wish: AlarmWish) {
  return useQuery({
    queryKey: ["alarm", "list", wish],
    queryFn: ({ signal }) => call<Page<AlarmRow>>(`/alarms${query({ ...wish, limit: 100 })}`, { signal }),
    refetchInterval: LIVE_MS,
    placeholderData: keepPreviousData,
  });
}

export function useHolds() {
  return useQuery({
    queryKey: ["alarm", "holds"],
    queryFn: ({ signal }) => call<Hold[]>("/alarm-holds", { signal }),
    refetchInterval: LIVE_MS,
  });
}

export function useGroups() {
  return useQuery({
    queryKey: ["alarm", "groups"],
    queryFn: ({ signal }) => call<Group[]>("/alarm-groups", { signal }),
    refetchInterval: LIVE_MS,
  });
}

export function useGroup(groupId: number) {
  return useQuery({
    queryKey: ["alarm", "group", groupId],
    queryFn: ({ signal }) => call<Group & { who: Member[] }>(`/alarm-groups/${groupId}`, { signal }),
    refetchInterval: LIVE_MS,
  });
}

/** The figures of so many days until now. */
export function useHygiene(start: string) {
  return useQuery({
    queryKey: ["hygiene", start],
    queryFn: ({ signal }) => call<Hygiene>(`/alarm-hygiene${query({ start })}`, { signal }),
    staleTime: 60_000,
    placeholderData: keepPreviousData,
  });
}

export function useBehind(figure: string | null, start: string) {
  return useQuery({
    queryKey: ["hygiene", start, figure],
    enabled: figure !== null,
    queryFn: ({ signal }) => call<Behind[]>(`/alarm-hygiene/${figure}${query({ start })}`, { signal }),
    staleTime: 60_000,
  });
}
