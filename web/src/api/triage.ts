// What triage offers for a ticket.
import { useQuery } from "@tanstack/react-query";
import { call } from "./client";
import type { Words } from "./types";

export type TriageTarget = "engineer" | "skill" | "priority" | "mode";
export type TriageChoice = { label: string; name: string | null; confidence: number; reasons: Words[] };
export type Suggestion = { target: TriageTarget; answer: string | null; choices: TriageChoice[]; lessons: number };

/** Asked anew for every version of the ticket: what was decided since is a clue for the rest. */
export function useTriage(ticketId: number | null, version: number) {
  return useQuery({
    queryKey: ["triage", ticketId, version],
    enabled: ticketId !== null,
    staleTime: 60_000,
    retry: false,
    queryFn: ({ signal }) => call<{ suggestions: Suggestion[] }>(`/tickets/${ticketId}/triage`, { signal }),
  });
}
