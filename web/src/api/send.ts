// Sending without losing input: an attempt that got no answer keeps its body and its idempotency key until it does.
import { useCallback, useState } from "react";
import { call, newKey, Problem } from "./client";
import { plantNow } from "./clock";

/** `at`: when it was done, in plant time; a repeated attempt keeps it, so that offline work counts when it was done. */
type Attempt = { key: string; path: string; body: unknown; version?: number; at?: string };

const DATED = /\/tickets\/\d+\/(transition|comments)$/;

function dated(one: Attempt): unknown {
  return one.at && DATED.test(one.path) ? { ...(one.body as object), at: one.at } : one.body;
}

export type Sender<T> = {
  send: (path: string, body: unknown, version?: number) => Promise<T | undefined>;
  retry: () => Promise<T | undefined>;
  clear: () => void;
  sending: boolean;
  problem: Problem | null;
  waiting: Attempt | null;
};

/** `draft` names the place in local storage, so that an unanswered attempt outlives a reload. */
export function useSend<T>(draft: string, onSaved?: (answer: T) => void | Promise<void>): Sender<T> {
  const [waiting, setWaiting] = useStored<Attempt | null>(`attempt.${draft}`, null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [sending, setSending] = useState(false);

  const attempt = useCallback(
    async (one: Attempt): Promise<T | undefined> => {
      setSending(true);
      setWaiting(one);
      try {
        const answer = await call<T>(one.path, {
          method: "POST", body: dated(one), version: one.version, idempotencyKey: one.key,
        });
        setWaiting(null);
        setProblem(null);
        await onSaved?.(answer);
        return answer;
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        // A clear "no" ends the attempt; only silence and trouble may be tried again with the same key.
        if (!error.retryable) setWaiting(null);
        setProblem(error);
        return undefined;
      } finally {
        setSending(false);
      }
    },
    [onSaved, setWaiting],
  );

  const send = (path: string, body: unknown, version?: number) => {
    const same = waiting && waiting.path === path && JSON.stringify(waiting.body) === JSON.stringify(body);
    const at = new Date(plantNow()).toISOString();
    return attempt(same ? waiting : { key: newKey(), path, body, version, at });
  };
  const clear = () => {
    setWaiting(null);
    setProblem(null);
  };
  return { send, retry: async () => (waiting ? attempt(waiting) : undefined), clear, sending, problem, waiting };
}

/** State that survives a reload or an app kill. */
export function useStored<T>(name: string, first: T): [T, (next: T) => void] {
  const key = `millwright.${name}`;
  const [value, setValue] = useState<T>(() => load(key, first));
  const store = useCallback(
    (next: T) => {
      setValue(next);
      try {
        if (next === null || next === undefined) localStorage.removeItem(key);
        else localStorage.setItem(key, JSON.stringify(next));
      } catch (error) {
        console.warn("millwright: local storage refused", error); // full or forbidden: the state in memory still holds
      }
    },
    [key],
  );
  return [value, store];
}

function load<T>(key: string, first: T): T {
  try {
    const text = localStorage.getItem(key);
    return text === null ? first : (JSON.parse(text) as T);
  } catch {
    return first; // written by an older version
  }
}
