// The plant clock: ages, forecasts and SLA are told in plant time, which may run faster than the wall clock.
import { useSyncExternalStore } from "react";
import type { Clock } from "./types";

let plantAtSync = Date.now();
let monotonicAtSync = performance.now();
let factor = 1;
let tick = Date.now();
const listeners = new Set<() => void>();
let timer: number | undefined;

export function synchronise(clock: Clock): void {
  plantAtSync = Date.parse(clock.now);
  monotonicAtSync = performance.now();
  factor = clock.factor;
  announce();
}

export function plantNow(): number {
  return plantAtSync + (performance.now() - monotonicAtSync) * factor;
}

export function clockFactor(): number {
  return factor;
}

/** Plant time in ms, renewed every second while a component shows it. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => tick);
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= window.setInterval(announce, 1000);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      window.clearInterval(timer);
      timer = undefined;
    }
  };
}

function announce(): void {
  tick = plantNow();
  for (const listener of listeners) listener();
}
