// Guides: their texts and revisions, what orders get and why, what came of it.
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { call, query } from "./client";
import type { Page, Words } from "./types";

export type Said = Partial<Words>;
export type GuideStep = { text: Words; unit: string; low: number | null; high: number | null; picture: number | null; sources: string[] };
export type StepText = { text: Said; unit?: string; low?: number | null; high?: number | null; picture?: number | null; sources?: string[] };
export type GuideText = { classes: string[]; modes: string[]; title: Said; body: Said; steps: StepText[] };
export type GuideState = "draft" | "published" | "archived";
export type GuideRow = {
  article_id: number; code: string; state: GuideState; version: number; classes: string[]; modes: string[]; title: Words;
  languages: string[]; updated_at: string; unpublished: boolean; offered: number | null;
};
export type GuideShown = GuideRow & { body: Words; steps: GuideStep[]; head: number | null; published: number | null };
export type RevisionRow = { number: number; origin: "shipped" | "site" | "orders"; note: string; made_at: string; by_name: string };
export type Revision = RevisionRow & { content: GuideText; title: Words; body: Words; steps: GuideStep[] };
export type Share = { hits: number; count: number; value: number | null; low: number; high: number };
export type Usefulness = {
  article_id: number; pushed: number; opened: number; used: number; rated: number; rating: number | null; after_use: Share; without_use: Share;
};
export type Arm = { orders: number; verified: Share; hours: number | null };
export type Effect = { hold_out: number; pushed: Arm; held_out: Arm; sentence: Words };
export type Past = {
  ticket_id: number; ref: string; title: string; asset_code: string | null; closed_at: string; verified: boolean; failure_code: string | null;
  cause: string | null; note: string; labour_h: number; parts: { code: string; name: string; quantity: number; unit: string }[];
};

export const NEW_GUIDE: GuideText = { classes: [], modes: [], title: { en: "", zh: "" }, body: { en: "", zh: "" }, steps: [] };

export function useGuides() {
  return useQuery({ queryKey: ["guide", "list"], queryFn: async ({ signal }) => (await call<Page<GuideRow>>("/articles", { signal })).items });
}

export function useGuide(articleId: number) {
  return useQuery({ queryKey: ["guide", "one", articleId], queryFn: ({ signal }) => call<GuideShown>(`/articles/${articleId}`, { signal }) });
}

export function useRevisions(articleId: number) {
  return useQuery({ queryKey: ["guide", "revisions", articleId], queryFn: ({ signal }) => call<RevisionRow[]>(`/articles/${articleId}/revisions`, { signal }) });
}

export function useRevision(articleId: number, number: number | null) {
  return useQuery({
    queryKey: ["guide", "revision", articleId, number],
    queryFn: ({ signal }) => call<Revision>(`/articles/${articleId}/revisions/${number}`, { signal }),
    enabled: number !== null, staleTime: Infinity, placeholderData: keepPreviousData,
  });
}

export function useDiff(articleId: number, before: number | null, after: number | null) {
  return useQuery({
    queryKey: ["guide", "diff", articleId, before, after],
    queryFn: ({ signal }) => call<{ lines: string[] }>(`/articles/${articleId}/diff${query({ before, after })}`, { signal }),
    enabled: before !== null && after !== null && before !== after, staleTime: Infinity,
  });
}

export function useUsefulness(enabled: boolean) {
  return useQuery({ queryKey: ["guide", "usefulness"], queryFn: ({ signal }) => call<Usefulness[]>("/articles/usefulness", { signal }), enabled });
}

export function useEffectOfGuides(enabled: boolean) {
  return useQuery({ queryKey: ["guide", "effect"], queryFn: ({ signal }) => call<Effect>("/articles/effect", { signal }), enabled });
}

export function useSimilar(ticketId: number) {
  return useQuery({ queryKey: ["similar", ticketId], queryFn: ({ signal }) => call<Past[]>(`/tickets/${ticketId}/similar`, { signal }), staleTime: 60_000 });
}

/** Without the languages that nobody wrote in: a translation that is not there is not an empty one. */
export function trimmed(text: GuideText): GuideText {
  const languages = (["en", "zh"] as const).filter((one) => text.title[one]?.trim());
  const only = (said: Said): Said => Object.fromEntries(languages.map((one) => [one, said[one] ?? ""]));
  return { ...text, title: only(text.title), body: only(text.body), steps: text.steps.map((step) => ({ ...step, text: only(step.text) })) };
}
