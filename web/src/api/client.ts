// One door to the API: session cookie, CSRF header, site, idempotency keys, and one error class.

export type FieldError = { loc?: (string | number)[]; field?: string; message?: string; msg?: string };

/** What the API said no with (RFC 9457), or that it could not be reached (`status` 0). */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly errors: FieldError[];

  constructor(status: number, body: Record<string, unknown>) {
    super(String(body.detail ?? body.title ?? `HTTP ${status}`));
    this.status = status;
    this.code = String(body.code ?? (status === 0 ? "unreachable" : `http_${status}`));
    this.detail = String(body.detail ?? body.title ?? "");
    this.errors = Array.isArray(body.errors) ? (body.errors as FieldError[]) : [];
  }

  /** Trying the very same request again may work: nobody answered, or the server was in trouble. */
  get retryable(): boolean {
    return this.status === 0 || this.status >= 500 || this.status === 429;
  }
}

export type Call = {
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  body?: unknown;
  version?: number;
  idempotencyKey?: string;
  signal?: AbortSignal;
};

const BASE = "/api/v1";
const DEADLINE_MS = 20_000;
const SITE_KEY = "millwright.site";

export function chosenSite(): string | null {
  return localStorage.getItem(SITE_KEY);
}

export function chooseSite(code: string | null): void {
  if (code) localStorage.setItem(SITE_KEY, code);
  else localStorage.removeItem(SITE_KEY);
}

export function newKey(): string {
  // randomUUID exists only in secure contexts; a plant often serves plain http inside its own network.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Sends one request; throws `Problem`. Every POST carries an idempotency key, so it may be sent again. */
export async function call<T>(path: string, options: Call = {}): Promise<T> {
  const method = options.method ?? "GET";
  const deadline = AbortSignal.timeout(DEADLINE_MS);
  let response: Response;
  try {
    response = await fetch(BASE + path, {
      method,
      credentials: "same-origin",
      headers: headers(method, options),
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
      signal: options.signal ? AbortSignal.any([options.signal, deadline]) : deadline,
    });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Problem(0, { code: "unreachable" });
  }
  return read<T>(response);
}

export function query(parameters: Record<string, string | number | boolean | null | undefined>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== "") search.set(name, String(value));
  }
  const text = search.toString();
  return text ? `?${text}` : "";
}

function headers(method: string, options: Call): Headers {
  const result = new Headers({ Accept: "application/json" });
  const site = chosenSite();
  if (site) result.set("X-Site", site);
  if (method !== "GET") result.set("X-Requested-With", "millwright");
  if (options.body !== undefined) result.set("Content-Type", "application/json");
  if (method === "POST") result.set("Idempotency-Key", options.idempotencyKey ?? newKey());
  if (options.version !== undefined) result.set("If-Match", `"${options.version}"`);
  return result;
}

async function read<T>(response: Response): Promise<T> {
  const text = await response.text();
  let body: unknown = null;
  try {
    body = text ? JSON.parse(text) : null;
  } catch {
    body = null; // a proxy's HTML page: the status alone tells
  }
  if (!response.ok) throw new Problem(response.status, isObject(body) ? body : {});
  return body as T;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
