// The site's own fields, what stands around a ticket, approvals, and reports of the same.
import { useQuery } from "@tanstack/react-query";
import { call, query } from "./client";
import { queryClient } from "./queries";
import type { Page, TicketItem, TicketKind, TicketStatus, Words } from "./types";

export type FieldType =
  | "text" | "long_text" | "number" | "integer" | "boolean" | "date" | "datetime" | "choice" | "multi_choice" | "asset" | "person" | "url";
export type CustomField = {
  field_id: number | null;
  key: string;
  label: Words;
  type: FieldType;
  unit: string;
  low: number | null;
  high: number | null;
  options: { value: string; label: Words }[];
  kinds: TicketKind[];
  required: "never" | "open" | "transition";
  required_to: string[];
  default: unknown;
};
export type CustomValues = Record<string, unknown>;

export type Near = {
  link_id: number | null;
  how: string;
  ticket_id: number;
  ref: string;
  kind: TicketKind;
  status: TicketStatus;
  title: string;
  public_state: string | null;
};
export type Approval = {
  approval_id: number;
  ticket_id: number;
  ref: string;
  why: Words;
  role: string | null;
  user_name: string | null;
  state: "pending" | "approved" | "declined";
  decided_by: string | null;
  reason: string;
  mine: boolean;
};
export type Waiting = Approval & { title: string; demanded_by: string; demanded_at: string };
export type Around = {
  ticket_id: number;
  merged_into: { ticket_id: number; ref: string; status: TicketStatus } | null;
  near: Near[];
  watchers: { user_id: number; login: string; name: string; why: string }[];
  watching: boolean;
  approvals: Approval[];
  cost: number | null;
  cost_lines: { line_id: number; kind: string; amount: number; note: string; made_by: string; made_at: string }[];
};
export type Candidate = { ticket_id: number; ref: string; kind: TicketKind; status: TicketStatus; title: string; opened_at: string; score: number };

export function useCustomFields(kind: string | null) {
  return useQuery({
    queryKey: ["field", kind],
    queryFn: ({ signal }) => call<Page<CustomField>>(`/fields${query({ kind })}`, { signal }).then((page) => page.items),
    enabled: kind !== null,
    staleTime: 60_000,
  });
}

export function useAround(ticketId: number) {
  return useQuery({
    queryKey: ["ticket", "around", ticketId],
    queryFn: ({ signal }) => call<Around>(`/tickets/${ticketId}/around`, { signal }),
  });
}

/** What waits for the reader's decision; under "ticket", so that whatever refreshes tickets refreshes it. */
export function useWaiting() {
  return useQuery({
    queryKey: ["ticket", "waiting"],
    queryFn: ({ signal }) => call<Page<Waiting>>("/approvals", { signal }).then((page) => page.items),
    refetchInterval: 60_000,
  });
}

export function useCandidates(text: string, assetId: number | undefined) {
  return useQuery({
    queryKey: ["duplicates", text, assetId],
    queryFn: ({ signal }) =>
      call<Page<Candidate>>("/tickets/duplicates", { method: "POST", body: { text, asset_id: assetId }, signal }).then((page) => page.items),
    enabled: text.length >= 4,
    staleTime: 30_000,
    retry: false,
  });
}

/** The ticket with this number, as somebody types it; undefined when there is none. */
export async function ticketByRef(ref: string): Promise<TicketItem | undefined> {
  const wanted = ref.trim().toUpperCase();
  const page = await call<Page<TicketItem>>(`/tickets${query({ q: wanted, limit: 20 })}`);
  return page.items.find((one) => one.ref === wanted);
}

export async function refreshTickets(): Promise<void> {
  await queryClient.invalidateQueries({ queryKey: ["ticket"] });
}
