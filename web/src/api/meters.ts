// Meters and their readings. Under the key of plans: a reading changes what is due.
import { useQuery } from "@tanstack/react-query";
import { call, query } from "./client";
import type { Page } from "./types";

export type Way = "by_hand" | "counter" | "running_hours";
export type Meter = {
  meter_id: number; version: number; asset_id: number; asset: string; code: string; name: string; unit: string; way: Way;
  signal_id: number | null; total: number | null; value: number | null; read_at: string | null; per_day: number | null;
};
export type MeterReading = { at: string; value: number; total: number; by_name: string };

export function useMeters(assetId: number | null = null) {
  return useQuery({
    queryKey: ["preventive", "meters", assetId],
    queryFn: async ({ signal }) => (await call<Page<Meter>>(`/meters${query({ asset_id: assetId })}`, { signal })).items,
    refetchInterval: 60_000,
  });
}

export function useReadings(meterId: number) {
  return useQuery({
    queryKey: ["preventive", "readings", meterId],
    queryFn: async ({ signal }) => (await call<Page<MeterReading>>(`/meters/${meterId}/readings`, { signal })).items,
    refetchInterval: 60_000,
  });
}
