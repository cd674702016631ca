// Hash routes: "#/orders/12?open=1" → { path: ["orders", "12"], search }.
import { useSyncExternalStore } from "react";

export type Route = { path: string[]; search: URLSearchParams; raw: string };

export function useRoute(): Route {
  return parse(useSyncExternalStore(subscribe, () => window.location.hash));
}

export function parse(hash: string): Route {
  const raw = hash.replace(/^#/, "") || "/";
  const [path = "", search = ""] = raw.split("?");
  return { path: path.split("/").filter(Boolean).map(decode), search: new URLSearchParams(search), raw };
}

export function go(to: string, how: "push" | "replace" = "push"): void {
  if (how === "replace") {
    window.history.replaceState(null, "", `#${to}`);
    window.dispatchEvent(new HashChangeEvent("hashchange"));
  } else {
    window.location.hash = to;
  }
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a hand-typed address with a lone "%"
  }
}

function subscribe(listener: () => void): () => void {
  window.addEventListener("hashchange", listener);
  return () => window.removeEventListener("hashchange", listener);
}
