// The four states every page owes its reader besides "here it is": loading, empty, failed, stale.
import { Component, useSyncExternalStore, type ReactNode } from "react";
import { Button } from "@mantine/core";
import type { UseQueryResult } from "@tanstack/react-query";
import { Problem } from "../api/client";
import { plantNow } from "../api/clock";
import { useSpeech } from "../i18n";
import { age } from "../i18n/format";

export function Bones({ rows = 4, height = 64 }: { rows?: number; height?: number }) {
  const { t } = useSpeech();
  return (
    <div className="stack" role="status" aria-busy="true">
      <span className="hidden">{t("app.loading")}</span>
      {Array.from({ length: rows }, (_, row) => <div key={row} className="bone" style={{ height }} />)}
    </div>
  );
}

export function Empty({ title, hint, children }: { title: string; hint?: string; children?: ReactNode }) {
  return (
    <div className="state">
      <svg viewBox="0 0 36 36" fill="none" stroke="currentColor" strokeWidth="2" aria-hidden="true">
        <circle cx="18" cy="18" r="14" /><path d="M4 18h8l3-6 5 12 3-6h9" />
      </svg>
      <strong>{title}</strong>
      {hint && <span>{hint}</span>}
      {children}
    </div>
  );
}

export function Failed({ error, retry }: { error: unknown; retry?: () => void }) {
  const { t } = useSpeech();
  return (
    <div className="state" role="alert">
      <svg viewBox="0 0 36 36" fill="none" stroke="currentColor" strokeWidth="2" aria-hidden="true">
        <path d="M18 4 34 31H2Z" /><path d="M18 13v9m0 3v2" />
      </svg>
      <strong>{problemText(error, t)}</strong>
      {error instanceof Problem && error.status !== 0 && error.detail && <span>{error.detail}</span>}
      {retry && <Button variant="default" onClick={retry}>{t("app.retry")}</Button>}
    </div>
  );
}

export function problemText(error: unknown, t: ReturnType<typeof useSpeech>["t"]): string {
  const status = error instanceof Problem ? error.status : -1;
  if (status === 0) return t("state.unreachable");
  if (status === 403) return t("state.forbidden");
  if (status === 404) return t("state.missing");
  return t("state.failed");
}

/** Shows what is known: bones while nothing is, the error when nothing will be, else the data under a stale bar. */
export function Await<T>({ query, bones, children }: {
  query: UseQueryResult<T>;
  bones?: ReactNode;
  children: (data: T) => ReactNode;
}) {
  const online = useOnline();
  if (query.data === undefined) {
    if (query.isError) return <Failed error={query.error} retry={() => void query.refetch()} />;
    return <>{bones ?? <Bones />}</>;
  }
  return (
    <>
      {(query.isError || query.failureCount > 0 || !online) && <StaleBar updatedAt={query.dataUpdatedAt} online={online} />}
      {children(query.data)}
    </>
  );
}

function StaleBar({ updatedAt, online }: { updatedAt: number; online: boolean }) {
  const speech = useSpeech();
  const words = age(plantNow() - (Date.now() - updatedAt), plantNow(), speech);
  return (
    <div className="stale-bar" role="status">
      <span aria-hidden="true">◌</span>
      {speech.t(online ? "state.stale" : "state.offline", { age: words })}
    </div>
  );
}

function useOnline(): boolean {
  return useSyncExternalStore(
    (changed) => {
      window.addEventListener("online", changed);
      window.addEventListener("offline", changed);
      return () => {
        window.removeEventListener("online", changed);
        window.removeEventListener("offline", changed);
      };
    },
    () => navigator.onLine,
  );
}

type GuardProps = { title: string; button: string; children: ReactNode };

/** One page that fails to draw must not take the others with it. */
export class Guard extends Component<GuardProps, { failed: boolean }> {
  state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  render() {
    if (!this.state.failed) return this.props.children;
    return (
      <div className="state" role="alert">
        <strong>{this.props.title}</strong>
        <Button variant="default" onClick={() => window.location.reload()}>{this.props.button}</Button>
      </div>
    );
  }
}
