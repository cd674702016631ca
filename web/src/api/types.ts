// Shapes of the HTTP API under /api/v1. Times are RFC 3339 UTC strings in plant time unless a name ends in `_ms`.

import type { GuideStep } from "./guides";

export type Language = "en" | "zh";
export type Words = { en: string; zh: string };
export type Role = "device" | "requester" | "engineer" | "planner" | "manager" | "admin" | "agent";
export type Health = "normal" | "watch" | "alarm" | "stale" | "unknown";
export type Page<T> = { items: T[]; next: string | null };

export type Me = {
  user_id: number;
  login: string;
  name: string;
  role: Role;
  roles: Record<string, Role>;
  site: { code: string; name: string; timezone: string };
  locale: string;
  engineer_id: number | null;
  kind: "person" | "agent";
  second_needed: boolean;
};

export type Clock = { now: string; factor: number; offset_s: number };

export type Mode = { code: string; name: Words };
export type AssetRef = { asset_id: number; code: string; name: string; criticality?: number; location?: string };
export type TicketRef = { ticket_id: number; ref: string; status: TicketStatus };
export type Contribution = { signal_id: number; code: string; name?: string; share: number; direction: number };

export type AssetItem = {
  asset_id: number;
  code: string;
  name: string;
  asset_class: string;
  criticality: number;
  location: string;
  level: string;
  parent_id: number | null;
  health: Health;
  last_seen: string | null;
  open_tickets: number;
};

export type Latest = { at: string; value: number | null; quality: "good" | "uncertain" | "bad" };
export type Signal = {
  signal_id: number;
  code: string;
  name: string;
  quantity: string;
  unit: string;
  low: number | null;
  high: number | null;
  role: "measured" | "setpoint" | "state";
  period_s: number;
  latest: Latest | null;
};

export type Alarm = {
  alarm_id: number;
  asset?: AssetRef;
  asset_id?: number;
  mode: Mode | null;
  state: string;
  started_at: string;
  detected_at?: string | null;
  cleared_at?: string | null;
  shelved_until?: string | null;
  sentence?: Words | null;
  contributions?: Contribution[];
  ticket?: TicketRef | null;
};

export type Asset = AssetItem & { signals: Signal[]; alarms: Alarm[]; predictions: Prediction[] };

export type Series = {
  signal_id: number;
  unit: string;
  resolution: string;
  at: number[];
  value: (number | null)[];
  min: (number | null)[] | null;
  max: (number | null)[] | null;
  bands: {
    at: number[];
    low: (number | null)[];
    expected: (number | null)[];
    high: (number | null)[];
  } | null;
};

export type Prediction = {
  prediction_id: number;
  asset: AssetRef;
  mode: Mode;
  made_at: string;
  detected_at?: string | null;
  p10_h: number | null;
  p50_h: number | null;
  p90_h: number | null;
  p_fail_horizon: number | null;
  horizon_h: number;
  risk: number;
  health: number | null;
  cost: { planned: number; failure: number; currency: string } | null;
  sentence: Words;
  contributions: Contribution[];
  alarm_id: number; // stays the same while forecasts follow one another
  ticket: TicketRef | null;
  decision: { action: string; reasons: Words[] } | null;
  model: string;
  version: string;
};

/** Of `judged` predictions `held`: the machine failed between P10 and P90. */
export type PredictionRecord = {
  model: string;
  asset_class: string;
  predictions: number;
  waiting: number;
  judged: number;
  held: number;
  failures: number;
  found: number;
  coverage: number | null;
  pinball_h: number | null;
  corrected: boolean;
};

export type TicketKind = "request" | "incident" | "corrective" | "preventive" | "inspection" | "sensor-fault";
export type TicketStatus =
  | "new"
  | "assigned"
  | "accepted"
  | "arrived"
  | "on_hold"
  | "done"
  | "verifying"
  | "reopened"
  | "closed"
  | "approved"
  | "cancelled";

export type Sla = {
  kind: string;
  state: "running" | "paused" | "met" | "breached";
  due_at: string | null;
  target_s: number | null;
  remaining_s: number | null;
  breaches?: number;
  basis?: string;
  policy?: string;
  why?: Words[];
};

export type Allowed = { to: TicketStatus; requires: string[]; requires_custom?: string[]; label: Words };
export type Evidence = {
  at?: string;
  kind?: string;
  text?: Words;
  sentence?: Words | null;
  contributions?: Contribution[] | null;
  body?: Record<string, unknown>;
};

export type VerificationSignal = {
  signal_id: number;
  code?: string;
  name?: string;
  before?: number | null; // residuals in half widths of the healthy band: ±1 is its limit
  after?: number | null;
  inside?: number | null;
};
export type VerificationPlot = Pick<Series, "signal_id" | "unit" | "at" | "value" | "bands"> & { code: string };
export type Verification = {
  status: string;
  running_h?: number | null; // of the same operating state, since the repair
  need_h?: number | null;
  decided_by?: string | null; // a person, in place of telemetry
  decided_reason?: string | null;
  plot?: VerificationPlot[];
  started_at: string;
  deadline: string | null;
  detail: Words | null;
  signals: VerificationSignal[];
};

export type TicketItem = {
  ticket_id: number;
  ref: string;
  kind: TicketKind;
  status: TicketStatus;
  priority: number;
  title: string;
  asset: AssetRef | null;
  mode: Mode | null;
  assignee: { engineer_id: number; name: string } | null;
  requester: { name: string } | null;
  skill: string | null;
  opened_at: string;
  respond_by: string | null;
  resolve_by: string | null;
  sla: Sla[];
  verdict: string | null;
  version: number;
};

export type Ticket = TicketItem & {
  description: string;
  fields: Record<string, unknown>;
  allowed: Allowed[];
  articles: { article_id: number | string; title: Words; reason?: Words; used?: boolean; rating?: number | null }[];
  assignment_reasons: Words[];
  evidence: Evidence[];
  verification: Verification | null;
  merged_into?: TicketRef | null;
};

export type TicketEvent = {
  seq: number;
  at: string;
  actor: { kind: string; name: string };
  kind: string;
  audience: "internal" | "requester";
  body: Record<string, unknown>;
  hash: string;
};

export type Article = {
  article_id: number | string;
  asset_class: string;
  mode: string | null;
  title: Words;
  body: Words;
  steps?: GuideStep[];
};

export type Engineer = {
  engineer_id: number;
  name: string;
  skills: Record<string, number>;
  on_shift: boolean;
  open_jobs: number;
};

export type QuarantineRow = {
  quarantine_id: number;
  reason: string;
  source: string;
  tag: string | null;
  count: number;
  first_at: string;
  last_at: string;
  sample: unknown;
  detail: Words | null;
  bindable: boolean;
};

export type Notice = {
  notification_id: number;
  at: string;
  kind: string;
  ticket_id: number | null;
  title: Words;
  body: Words;
  read_at: string | null;
};

export type SystemPart = { name: string; state: string; since?: string | null; detail?: Words | string | null; restarts?: number };
export type SourceRate = { source: string; samples_s: number; last_seen: string | null; lag_s?: number | null };
export type SystemReport = {
  parts: SystemPart[];
  lag_s: number | null;
  detector_lag_s?: number | null;
  rates: SourceRate[];
  quarantine: Record<string, number>;
  [fact: string]: unknown;
};

export type GatewayHealth = {
  epoch: string;
  waiting: number;
  share_full: number;
  refused: number;
  told_at: string;
  sources: { name: string; kind: string; state: string; last_heard_us: number; rate: number }[];
};
export type SourceHealth = {
  source: string;
  kind: string;
  state: string;
  detail: string;
  samples_s: number;
  last_seen: string | null;
  expected_s: number | null;
  lag_s: number | null;
  lagging_since: string | null;
  dropped: number;
  missing: number;
  gaps: number;
  held: number;
  denied: number;
  tags: number;
  ticket_id: number | null;
  ticket_ref: string | null;
  gateway: GatewayHealth | null;
};
export type PipelineReport = {
  at: string;
  many: { since: string; why: string; count: number; ticket_id: number | null; ticket_ref: string | null } | null;
  sources: SourceHealth[];
};
export type Account = {
  source: string;
  sent: number;
  difference: number;
  missing: { epoch: string; low: number; high: number }[];
  balances: boolean;
};

export type AssetPrecision = {
  asset_id: number;
  asset_code: string;
  mode: string | null;
  verdicts: Record<string, number>;
  precision: number | null;
  judged: number;
  right: number;
  interval: { low: number; high: number };
};

export type DetectorReport = {
  detector: string;
  version: string;
  findings: number;
  alarms: number;
  orders: number;
  verdicts: Record<string, number>;
  precision: number | null;
  judged: number;
  right: number;
  interval: { low: number; high: number };
  by_asset: AssetPrecision[];
};

/** Learnt from `lives` that ended in this failure mode. */
export type LifeModel = {
  life_model_id: number;
  asset_class: string;
  mode: string;
  number: number;
  signals: string[];
  lives: number;
  made_at: string;
};

export type FailureCode = { code: string; asset_class: string; name: Words; skill?: string };
