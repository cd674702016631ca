// The work at the machine: checklists, time, signatures, files. Entries are kept on the phone until the server has them.
import { useEffect, useSyncExternalStore } from "react";
import { useQuery } from "@tanstack/react-query";
import { call, chosenSite, newKey, Problem, query } from "./client";
import { plantNow } from "./clock";
import { queryClient } from "./queries";
import type { Me, Words } from "./types";

export type ItemType = "tick" | "number" | "choice" | "text" | "photo";
export type Outcome = "ok" | "failed" | "not_applicable";
export type ChecklistItem = {
  code: string;
  type: ItemType;
  text: Words;
  need: "mandatory" | "optional";
  photo: "never" | "always" | "on_failure";
  unit: string;
  low: number | null;
  high: number | null;
  choices: { value: string; label: Words; outcome: Outcome }[];
};
export type Answer = { outcome: Outcome; value: boolean | number | string | null; note: string; photos: number[]; answered_at: string; by: string };
export type Line = { item: ChecklistItem; applies: boolean; answer: Answer | null; lacks: Words | null; follow_up: number | null };
export type Checklist = { checklist_id: number; code: string; revision: number; title: Words; lines: Line[]; open: number };
export type Labour = { labour_id: number; engineer: string; began_at: string; minutes: number; cost: number; note: string; voided_at: string | null };
export type Signature = { signature_id: number; purpose: "performed" | "accepted"; name: string; strokes: string; signed_at: string; holds: boolean; since: number };
export type Work = {
  ticket_id: number;
  head_hash: string;
  cost: number;
  downtime_s: number | null;
  checklists: Checklist[];
  labour: Labour[];
  signatures: Signature[];
};
export type Attachment = {
  attachment_id: number;
  name: string;
  media: string;
  kind: "image" | "audio" | "video" | "document";
  bytes: number;
  note: string;
  by: string;
  taken_at: string;
  asset: { asset_id: number; code: string; name: string } | null;
};
type Given = { item: string; value?: boolean | number | string; outcome?: Outcome; note?: string; photos?: number[] };

export function useWork(ticketId: number, enabled = true) {
  return useQuery({
    queryKey: ["work", ticketId],
    queryFn: ({ signal }) => call<Work>(`/tickets/${ticketId}/work`, { signal }),
    enabled,
    refetchInterval: 30_000,
  });
}

export function useAttachments(ticketId: number) {
  return useQuery({
    queryKey: ["attachment", ticketId],
    queryFn: async ({ signal }) => (await call<{ items: Attachment[] }>(`/tickets/${ticketId}/attachments`, { signal })).items,
    refetchInterval: 30_000,
  });
}

/** Where a file, or a smaller picture of it, is fetched from: by cookie, on the chosen site. */
export function contentUrl(attachmentId: number, size: "original" | "large" | "small"): string {
  return `/api/v1/attachments/${attachmentId}/content${query({ size, site: chosenSite() })}`;
}

/** Sends a file as it is. The key is the file's own, so that trying again is safe. */
export async function upload(ticketId: number, file: File, key: string, note = ""): Promise<Attachment> {
  const about = query({ name: file.name, note, taken_at: new Date(plantNow()).toISOString() });
  const headers = new Headers({ "X-Requested-With": "millwright", "Idempotency-Key": key, "Content-Type": "application/octet-stream" });
  const site = chosenSite();
  if (site) headers.set("X-Site", site);
  let response: Response;
  try {
    response = await fetch(`/api/v1/tickets/${ticketId}/attachments${about}`, { method: "POST", credentials: "same-origin", headers, body: file });
  } catch {
    throw new Problem(0, { code: "unreachable" });
  }
  const body: unknown = await response.json().catch(() => ({}));
  if (!response.ok) throw new Problem(response.status, body as Record<string, unknown>);
  void queryClient.invalidateQueries({ queryKey: ["attachment", ticketId] });
  return body as Attachment;
}

// -- entries that wait for the network --------------------------------------------------------------------------------

export type Waiting = { id: string; ticketId: number; checklistId: number | null; by: string; path: string; body: Record<string, unknown>; refused?: string };

const KEY = "millwright.draft.outbox"; // signing out forgets drafts
const AGAIN_MS = 15_000;
const watchers = new Set<() => void>();
let waiting: Waiting[] = load();
let sending = false;

/** Takes an entry at once; it is sent now, or when there is a network again. Its id makes sure that it counts once. */
export function enter(ticketId: number, path: string, body: Record<string, unknown>, checklistId: number | null = null): void {
  const id = newKey();
  keep([...waiting, { id, ticketId, checklistId, by: login(), path, body: { ...body, client_id: id } }]);
  void flush();
}

export function answer(ticketId: number, checklistId: number, given: Given): void {
  enter(ticketId, `/checklists/${checklistId}/answers`, { ...given, answered_at: new Date(plantNow()).toISOString() }, checklistId);
}

export function forget(id: string): void {
  keep(waiting.filter((one) => one.id !== id));
}

export function useWaiting(ticketId: number): Waiting[] {
  const all = useSyncExternalStore(watch, () => waiting);
  useEffect(() => {
    void flush();
    const timer = window.setInterval(() => void flush(), AGAIN_MS);
    const online = () => void flush();
    window.addEventListener("online", online);
    return () => {
      window.clearInterval(timer);
      window.removeEventListener("online", online);
    };
  }, []);
  return all.filter((one) => one.ticketId === ticketId);
}

/** In order, one after another: what the server refuses is shown with its sentence, silence is tried again. */
async function flush(): Promise<void> {
  if (sending) return;
  sending = true;
  try {
    for (let one = next(); one; one = next()) await send(one);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
  } finally {
    sending = false;
  }
}

function next(): Waiting | undefined {
  waiting = load(); // signing out has emptied it
  return waiting.find((one) => one.refused === undefined && one.by === login());
}

/** What one person entered is never sent in another's name, who may hold the same phone later. */
function login(): string {
  return queryClient.getQueryData<Me>(["me"])?.login ?? "";
}

async function send(one: Waiting): Promise<void> {
  try {
    await call(one.path, { method: "POST", body: one.body, idempotencyKey: one.id });
    await queryClient.invalidateQueries({ queryKey: ["work", one.ticketId] });
    forget(one.id);
  } catch (error) {
    if (!(error instanceof Problem) || error.retryable || error.status === 401) throw error;
    keep(waiting.map((each) => (each.id === one.id ? { ...each, refused: error.detail } : each)));
  }
}

function watch(watcher: () => void): () => void {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

function keep(list: Waiting[]): void {
  waiting = list;
  try {
    localStorage.setItem(KEY, JSON.stringify(list));
  } catch (error) {
    console.warn("millwright: local storage refused", error);
  }
  watchers.forEach((watcher) => watcher());
}

function load(): Waiting[] {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "[]") as Waiting[];
  } catch {
    return [];
  }
}

/** The lines as they will be once everything that waits has arrived: an answer is seen the moment it is given. */
export function withWaiting(list: Checklist, entries: Waiting[]): Checklist {
  const mine = entries.filter((one) => one.checklistId === list.checklist_id && one.refused === undefined);
  if (mine.length === 0) return list;
  return { ...list, lines: list.lines.map((line) => mine.reduce(withOne, line)) };
}

function withOne(line: Line, entry: Waiting): Line {
  const given = entry.body as unknown as Given & { answered_at: string };
  if (given.item !== line.item.code) return line;
  const value = given.value ?? null;
  const answer: Answer = {
    value, outcome: given.outcome ?? outcomeOf(line.item, value), note: given.note ?? "", photos: given.photos ?? [],
    answered_at: given.answered_at, by: "",
  };
  return { ...line, answer, lacks: line.lacks && needsPhoto(line.item, answer) && answer.photos.length === 0 ? line.lacks : null };
}

export function outcomeOf(item: ChecklistItem, value: boolean | number | string | null): Outcome {
  if (item.type === "tick") return value === true ? "ok" : "failed";
  if (item.type === "choice") return item.choices.find((one) => one.value === value)?.outcome ?? "ok";
  if (item.type !== "number" || typeof value !== "number") return "ok";
  return (item.low !== null && value < item.low) || (item.high !== null && value > item.high) ? "failed" : "ok";
}

export function needsPhoto(item: ChecklistItem, answer: Pick<Answer, "outcome"> | null): boolean {
  return item.photo === "always" || (item.photo === "on_failure" && answer?.outcome === "failed");
}
