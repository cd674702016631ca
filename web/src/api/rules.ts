// Rules: what the API says of them, and the hooks that read it.
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { call, query } from "./client";
import type { Page } from "./types";

export type Words = { en: string; zh: string };
export type Definition = Record<string, unknown>;
export type RuleForm = "rule" | "guard";
export type RuleStatus = "draft" | "enabled" | "disabled" | "stopped" | "retired";
export type Figures = {
  days: number; events: number; asked: number; matched: number; errors: number; refused: number; tickets: number;
  per_day: Record<string, number>; took_s: number; complete: boolean;
};
export type Rule = {
  rule_id: number; code: string; form: RuleForm; version: number; status: RuleStatus; name: Words; definition: Definition;
  stopped_why: string; rehearsed: (Figures & { version: number; at: string }) | null; changed_at: string; changed_by: string;
  warnings: string[];
};
export type Example = { ticket_id: number; ref: string; title: string; seq: number; at: string; event: string; sentence: string };
export type Trial = Figures & { examples: Example[]; failures: Example[] };
export type Run = {
  run_id: number; rule_id: number; code: string; ticket_id: number | null; ref: string | null; event: string; at: string;
  outcome: string; sentence: string; actions: Record<string, unknown>[]; took_us: number;
};
export type ActionHelp = { do: string; help: string; arguments: Record<string, string> };
export type RuleWords = {
  parts: Record<string, string[]>; functions: Record<string, string>; events: string[]; actions: ActionHelp[]; longest: number;
};
export type Checked = { good: boolean; problem: string | null };

export function useRules() {
  return useQuery({ queryKey: ["rule", "list"], queryFn: ({ signal }) => call<Rule[]>("/rules", { signal }) });
}

export function useRule(ruleId: number | null) {
  return useQuery({
    queryKey: ["rule", "one", ruleId],
    queryFn: ({ signal }) => call<Rule>(`/rules/${ruleId}`, { signal }),
    enabled: ruleId !== null,
  });
}

export function useRuleWords() {
  return useQuery({
    queryKey: ["rule", "words"], queryFn: ({ signal }) => call<RuleWords>("/rules/words", { signal }), staleTime: 3600_000,
  });
}

export function useRuns(ruleId: number | null) {
  return useQuery({
    queryKey: ["rule", "runs", ruleId],
    queryFn: ({ signal }) => call<Page<Run>>(`/rules/runs${query({ rule_id: ruleId, limit: 50 })}`, { signal }),
    refetchInterval: 15_000,
    placeholderData: keepPreviousData,
  });
}

/** Says whether a definition can be used, while it is being written. */
export function useRuleCheck(form: RuleForm, definition: Definition | null) {
  const text = JSON.stringify(definition);
  return useQuery({
    queryKey: ["rule", "check", form, text],
    queryFn: ({ signal }) => call<Checked>("/rules/check", { method: "POST", body: { form, definition }, signal }),
    enabled: definition !== null,
    placeholderData: keepPreviousData,
    staleTime: Infinity,
    gcTime: 60_000,
  });
}
