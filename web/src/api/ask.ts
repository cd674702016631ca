// The typed way to the API: a route's name says which parts of the path, which query and body it takes, and what it answers.

import { call, query, type Call } from "./client";
import type { Routes, Schemas } from "./schema";

export type { Schemas };
export type Answer<R extends keyof Routes> = Routes[R]["answer"];
type Given<R extends keyof Routes> =
  Omit<Call, "method" | "body">
  & (Routes[R]["path"] extends Record<string, never> ? { path?: undefined } : { path: Routes[R]["path"] })
  & { query?: Routes[R]["query"] }
  & (undefined extends Routes[R]["body"] ? { body?: Routes[R]["body"] } : { body: Routes[R]["body"] });

/** One request; throws `Problem`. */
export function ask<R extends keyof Routes>(route: R, given: Given<R>): Promise<Answer<R>> {
  const { path, query: asked, ...options } = given;
  const [method, template] = route.split(" ") as [Call["method"], string];
  const parts = (path ?? {}) as Record<string, string | number>;
  const url = template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(parts[name])));
  return call<Answer<R>>(url + query((asked ?? {}) as Record<string, string | number | boolean | null>), { ...options, method });
}
