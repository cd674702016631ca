// Server-sent events: each names a topic, and every cached answer of that topic is asked for again.
import { useEffect, useSyncExternalStore } from "react";
import { chosenSite, query } from "./client";
import { queryClient } from "./queries";

const TOPICS = ["ticket", "alarm", "prediction", "asset", "quarantine", "source", "telemetry", "notification", "gate", "alarm_rule"] as const;
export type Topic = (typeof TOPICS)[number];

// What a topic touches besides itself: a ticket's change shows in the predictions' column "order".
const ALSO: Partial<Record<Topic, string[]>> = {
  ticket: ["prediction", "work", "attachment"],
  alarm: ["prediction", "asset"],
  prediction: ["asset"],
  telemetry: ["series"],
};
const GATHER_MS: Partial<Record<Topic, number>> = { telemetry: 2000, asset: 1500 };
const RETRY_MS = 5000;

export type Link = "connecting" | "live" | "lost";
let link: Link = "connecting";
const watchers = new Set<() => void>();
const waiting = new Map<string, number>();

/** Opens the event stream while the component lives; a lost stream is opened again. */
export function useLive(): void {
  useEffect(() => {
    let source: EventSource | null = null;
    let again: number | undefined;
    const open = () => {
      source = new EventSource(`/api/v1/events${query({ site: chosenSite() })}`);
      // There is no history: what changed while the link was down must be asked for again.
      source.onopen = () => {
        if (link === "lost") void queryClient.invalidateQueries();
        setLink("live");
      };
      source.onerror = () => {
        setLink("lost");
        if (source?.readyState === EventSource.CLOSED) again = window.setTimeout(open, RETRY_MS);
      };
      for (const topic of TOPICS) source.addEventListener(topic, () => touch(topic));
    };
    open();
    return () => {
      window.clearTimeout(again);
      source?.close();
      setLink("connecting");
    };
  }, []);
}

export function useLink(): Link {
  return useSyncExternalStore(
    (watcher) => {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
    () => link,
  );
}

function touch(topic: Topic): void {
  if (waiting.has(topic)) return; // a burst of changes is one question
  const later = () => {
    waiting.delete(topic);
    for (const key of [topic, ...(ALSO[topic] ?? [])]) void queryClient.invalidateQueries({ queryKey: [key] });
  };
  waiting.set(topic, window.setTimeout(later, GATHER_MS[topic] ?? 200));
}

function setLink(next: Link): void {
  link = next;
  for (const watcher of watchers) watcher();
}
