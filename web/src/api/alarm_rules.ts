// Alarm rules: limits, rates, timers and missing data that people declare; previewed over history, then enabled.
import { useQuery } from "@tanstack/react-query";
import { call } from "./client";
import { queryClient } from "./queries";
import type { StandingWord } from "./proof";

export const KINDS = ["high", "low", "rise", "fall", "change", "missing"] as const;
export type Kind = (typeof KINDS)[number];
export type Step = { limit: number; for_s: number };
export type Condition = { kind: Kind; signal: string; unit: string; steps: Step[]; dead_band: number; over_s: number };
export type AlarmRule = {
  code: string; name: string; any: { all: Condition[] }[]; asset_class: string; asset: string; about: "machine" | "sensor"; severity: number;
  failure_mode: string; advice: string; while_running: boolean;
};
export type Preview = {
  days: number; asked_days: number; raised: number; machines: number; looked_at: number; lacking: string[];
  loudest: { asset_code: string; raised: number }[]; episodes: { asset_id: number; asset_code: string; since: string; until: string | null }[]; made_at: string;
};
export type KeptRule = {
  rule_id: number; version: number; revision: number; rule: AlarmRule; text: string; previewed: boolean; preview: Preview | null;
  in_force: number | null; from_at: string | null; enabled_by: string | null; changed_by: string; changed_at: string;
};

export const useAlarmRules = () => useQuery({ queryKey: ["alarm_rule"], queryFn: ({ signal }) => call<KeptRule[]>("/alarm-rules", { signal }), refetchInterval: 60_000 });

const at = (one: KeptRule) => `/alarm-rules/${one.rule_id}`;
export const saveRule = (one: KeptRule | null, rule: AlarmRule, version?: number) => call<KeptRule>(one ? at(one) : "/alarm-rules", { method: one ? "PUT" : "POST", version: one ? version : undefined, body: rule });
export const previewOf = (rule: AlarmRule, days: number) => call<Preview>("/alarm-rules/preview", { method: "POST", body: { rule, days } });
export const lookAt = (one: KeptRule, days: number) => call<KeptRule>(`${at(one)}/preview`, { method: "POST", body: { days } });
export const enableRule = (one: KeptRule, standing: StandingWord) => call<KeptRule>(`${at(one)}/enable`, { method: "POST", version: one.version, body: { standing } });
export const disableRule = (one: KeptRule) => call<KeptRule>(`${at(one)}/disable`, { method: "POST", version: one.version });
export const retireRule = (one: KeptRule) => call(at(one), { method: "DELETE", version: one.version });
export const readRule = (text: string) => call<{ rule: AlarmRule }>("/alarm-rules/read", { method: "POST", body: { text } });

export function refreshRules(): Promise<void> {
  return queryClient.invalidateQueries({ queryKey: ["alarm_rule"] });
}
