// A new job makes itself known: a toast, the phone's own notice where it is allowed, and a mark until it is opened.
import { useEffect, useRef, useSyncExternalStore } from "react";
import type { TicketItem } from "../api/types";
import { useSpeech } from "../i18n";
import { toast } from "../parts/toasts";

const SEEN_KEY = "millwright.seen";
const KEPT = 300;
const watchers = new Set<() => void>();
let seen: ReadonlySet<number> = readSeen();

export function useJobNotices(jobs: TicketItem[] | undefined): void {
  const { t } = useSpeech();
  const known = useRef<ReadonlySet<number> | null>(null);
  useEffect(() => {
    if (!jobs) return;
    const before = known.current;
    known.current = new Set(jobs.map((job) => job.ticket_id));
    if (before === null) return; // the first list is the day's work, not news
    for (const job of jobs) {
      if (before.has(job.ticket_id)) continue;
      const text = t("my.newJob", { title: job.title });
      toast(text, `#/my/${job.ticket_id}`);
      notify(text, job);
    }
  }, [jobs, t]);
}

export function useSeen(): ReadonlySet<number> {
  return useSyncExternalStore(
    (watcher) => {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
    () => seen,
  );
}

export function markSeen(ticketId: number): void {
  if (seen.has(ticketId)) return;
  seen = new Set([...seen, ticketId].slice(-KEPT));
  localStorage.setItem(SEEN_KEY, JSON.stringify([...seen]));
  for (const watcher of watchers) watcher();
}

/** Whether asking makes sense: the browser knows notices and has not been answered yet. */
export function mayAskForNotices(): boolean {
  return "Notification" in window && Notification.permission === "default";
}

function notify(text: string, job: TicketItem): void {
  if (!("Notification" in window) || Notification.permission !== "granted") return;
  const options = { body: job.asset ? `${job.asset.code} ${job.asset.location ?? ""}` : "", tag: `job-${job.ticket_id}`, icon: "./icon-192.png" };
  navigator.serviceWorker?.getRegistration()
    .then((registration) => (registration ? registration.showNotification(text, options) : void new Notification(text, options)))
    .catch((error: unknown) => console.warn("millwright: no notice", error)); // the toast has been shown already
}

function readSeen(): ReadonlySet<number> {
  try {
    return new Set(JSON.parse(localStorage.getItem(SEEN_KEY) ?? "[]") as number[]);
  } catch {
    return new Set();
  }
}
