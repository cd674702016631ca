// How alarms are designed and held: tunings, suppression, out of service, lock-outs and start-ups, what feeds what.
// Keys begin with "alarm": an alarm that changes makes them stale (see live.ts).
import { useQuery } from "@tanstack/react-query";
import { call } from "./client";
import { queryClient } from "./queries";

export const NUMBERS = ["dead_band", "on_delay_s", "off_delay_s", "fleeting_s", "chatter_per_minute", "stale_h", "tell_severity"] as const;
export type TuningNumber = (typeof NUMBERS)[number];
export type Said = { asset_class: string; signal: string } & Record<TuningNumber, number | null>;
export type Tuning = Said & { tuning_id: number; version: number; changed_by: string; changed_at: string };
/** What ships, and between which bounds a site may say otherwise. */
export const SHIPPED: Record<TuningNumber, { usual: number; least: number; most: number }> = {
  dead_band: { usual: 0, least: 0, most: 0.5 },
  on_delay_s: { usual: 0, least: 0, most: 86_400 },
  off_delay_s: { usual: 0, least: 0, most: 86_400 },
  fleeting_s: { usual: 60, least: 0, most: 3600 },
  chatter_per_minute: { usual: 3, least: 2, most: 60 },
  stale_h: { usual: 24, least: 0, most: 720 },
  tell_severity: { usual: 2, least: 0, most: 4 },
};

export type Whose = "own" | "parent" | "feeder";
export type SuppressBody = { name: string; asset_class: string; asset_id: number | null; mode: string; whose: Whose; states: number[]; enabled: boolean };
export type Suppression = SuppressBody & { rule_id: number; asset_code: string | null; version: number; made_by: string; made_at: string; now: number; ever: number };
export type Out = { out_id: number; asset_id: number; asset_code: string; mode: string; reason: string; by_whom: string; since: string };
export type Work = { work_id: number; asset_id: number; asset_code: string; kind: "lockout" | "startup"; reason: string; by_whom: string; since: string; until: string | null };
export const MEDIA = ["power", "air", "water", "network", "steam", "hydraulic", "material", "other"] as const;
export type Feed = { asset_id: number; asset_code: string; feeder_id: number; feeder_code: string; medium: (typeof MEDIA)[number] };

function useListed<T>(name: string, path: string) {
  return useQuery({ queryKey: ["alarm", name], queryFn: ({ signal }) => call<T[]>(path, { signal }), refetchInterval: 60_000 });
}

export const useTunings = () => useListed<Tuning>("tunings", "/alarm-tunings");
export const useSuppressions = () => useListed<Suppression>("suppressions", "/suppression-rules");
export const useOut = () => useListed<Out>("out", "/alarms-out-of-service");
export const useWorks = () => useListed<Work>("works", "/asset-works");
export const useFeeds = () => useListed<Feed>("feeds", "/feeds");

export function refreshAlarms(): Promise<void> {
  return queryClient.invalidateQueries({ queryKey: ["alarm"] });
}
