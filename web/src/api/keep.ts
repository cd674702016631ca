// Jobs stay readable without a network: the answers an engineer needs are kept in local storage between visits.
import { dehydrate, hydrate, type DehydratedState, type QueryClient } from "@tanstack/react-query";

const KEY = "millwright.kept";
const VERSION = 1;
const KEPT = new Set(["me", "ticket", "work", "article", "asset", "modes", "clock"]);
const SAVE_MS = 1500;
const MAX_CHARS = 2_000_000;
let waiting: number | undefined; // the timer of the next save

export function restoreKept(client: QueryClient): void {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "null") as { version: number; state: unknown } | null;
    if (kept?.version !== VERSION) return;
    hydrate(client, kept.state as DehydratedState);
    void client.invalidateQueries(); // good to look at, but each is asked for again when it is shown
  } catch {
    localStorage.removeItem(KEY); // written by an older version
  }
}

export function keepAnswers(client: QueryClient): void {
  client.getQueryCache().subscribe((event) => {
    if (event.type !== "updated" || event.action.type !== "success") return;
    waiting ??= window.setTimeout(() => {
      waiting = undefined;
      save(client);
    }, SAVE_MS);
  });
  window.addEventListener("pagehide", () => waiting !== undefined && save(client));
}

/** Signing out leaves nothing of this person behind. */
export function forgetKept(client: QueryClient): void {
  window.clearTimeout(waiting);
  waiting = undefined;
  client.clear();
  for (const key of Object.keys(localStorage)) {
    const personal = key === KEY || key.startsWith("millwright.attempt.") || key.startsWith("millwright.draft.");
    if (personal) localStorage.removeItem(key);
  }
}

function save(client: QueryClient): void {
  const state = dehydrate(client, {
    shouldDehydrateQuery: (query) => query.state.status === "success" && KEPT.has(String(query.queryKey[0])),
  });
  if (state.queries.length + state.mutations.length === 0) return localStorage.removeItem(KEY); // nobody is here
  const text = JSON.stringify({ version: VERSION, state });
  try {
    if (text.length < MAX_CHARS) localStorage.setItem(KEY, text);
  } catch (error) {
    console.warn("millwright: local storage refused", error);
  }
}
