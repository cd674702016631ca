// Short notices at the edge of the screen, read out by screen readers.
import { useSyncExternalStore } from "react";
import { useSpeech } from "../i18n";

type Toast = { id: number; text: string; href?: string };

let toasts: Toast[] = [];
let nextId = 1;
const watchers = new Set<() => void>();
const SHOWN_MS = 8000;

export function toast(text: string, href?: string): void {
  const id = nextId++;
  change([...toasts.slice(-2), { id, text, href }]);
  window.setTimeout(() => dismiss(id), SHOWN_MS);
}

export function Toasts() {
  const { t } = useSpeech();
  const shown = useSyncExternalStore(
    (watcher) => {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
    () => toasts,
  );
  return (
    <div className="toasts" role="status" aria-live="polite">
      {shown.map((one) => (
        <div key={one.id} className="toast">
          <span>{one.text}</span>
          {one.href ? (
            <a href={one.href} onClick={() => dismiss(one.id)}>{t("app.open")}</a>
          ) : (
            <button className="plain" onClick={() => dismiss(one.id)}>{t("app.close")}</button>
          )}
        </div>
      ))}
    </div>
  );
}

function dismiss(id: number): void {
  change(toasts.filter((one) => one.id !== id));
}

function change(next: Toast[]): void {
  toasts = next;
  for (const watcher of watchers) watcher();
}
