import { beforeEach, describe, expect, it } from "vitest";
import type { AssetItem, Prediction, Sla, Ticket, TicketEvent } from "./api/types";
import { branches } from "./console/assets";
import { number, percent, span } from "./i18n/format";
import type { Speech } from "./i18n";
import { en } from "./i18n/en";
import { asked, codeOf, outgoing } from "./parts/fields";
import { blocks } from "./parts/markdown";
import { read } from "./parts/sla";
import { outside } from "./parts/spark";
import { runs, saying } from "./parts/timeline";
import { remaining, urgency } from "./parts/when";
import { parse } from "./router";

const HOUR = 3600_000;
const NOW = Date.parse("2026-03-01T12:00:00Z");
const words = en as Record<string, string>;
let speech: Speech;

beforeEach(() => {
  speech = {
    language: "en", zone: "UTC", setLanguage: () => undefined, setZone: () => undefined,
    t: (key, values) => words[key]!.replace(/\{(\w+)\}/g, (_, name: string) => String(values?.[name])),
    code: (family, value) => words[`${family}.${value}`] ?? String(value ?? ""),
    known: (family, value) => words[`${family}.${value}`],
    say: (text) => (text ? (typeof text === "string" ? text : text.en) : ""),
  };
});

describe("forecast", () => {
  const made = { p10_h: 10, p50_h: 30, p90_h: 90, made_at: new Date(NOW - 6 * HOUR).toISOString() } as Prediction;

  it("counts down from when it was made, never below nothing", () => {
    expect(remaining(made, NOW)).toEqual({ p10: 4, p50: 24, p90: 84 });
    expect(remaining(made, NOW + 50 * HOUR)).toEqual({ p10: 0, p50: 0, p90: 34 });
    expect(remaining({ ...made, p50_h: null }, NOW)).toBeNull();
  });

  it("is coloured only when somebody must act", () => {
    expect(urgency({ p10: 4, p50: 24, p90: 84 })).toBe("alarm");
    expect(urgency({ p10: 60, p50: 200, p90: 400 })).toBe("watch");
    expect(urgency({ p10: 100, p50: 200, p90: 400 })).toBe("calm");
    expect(urgency({ p10: 4, p50: 24, p90: 84 }, { ticket_id: 1, ref: "", status: "verifying" })).toBe("calm");
  });
});

describe("SLA clocks", () => {
  const clock = (change: Partial<Sla>): Sla => ({
    kind: "resolution", state: "running", due_at: new Date(NOW + 10 * HOUR).toISOString(), target_s: 36_000, remaining_s: 36_000, ...change,
  });

  it("warns near the end and says when it is over", () => {
    expect(read(clock({}), NOW, speech)).toMatchObject({ tone: "calm", words: "10 h left" });
    expect(read(clock({}), NOW + 9 * HOUR, speech)).toMatchObject({ tone: "watch", state: "running" });
    expect(read(clock({}), NOW + 12 * HOUR, speech)).toMatchObject({ tone: "alarm", state: "breached", words: "2 h over" });
  });

  it("does not run while paused, whatever its due time says", () => {
    const paused = clock({ state: "paused", remaining_s: 7200, due_at: new Date(NOW - HOUR).toISOString() });
    expect(read(paused, NOW, speech)).toMatchObject({ tone: "calm", words: "stopped with 2 h left" });
  });
});

describe("forms", () => {
  it("ask for the fault only when there is one", () => {
    expect(asked(["verdict", "note"], { verdict: "nothing_found" })).toEqual(["verdict", "note"]);
    expect(asked(["verdict", "note"], { verdict: "confirmed" })).toEqual(["verdict", "failure_code", "note"]);
    expect(asked(["reason"], {})).toEqual(["reason"]);
  });

  it("send only what they ask for, trimmed", () => {
    const values = { verdict: "nothing_found", failure_code: "bearing_wear", note: "  all well " };
    expect(outgoing(["verdict", "note"], values)).toEqual({ verdict: "nothing_found", note: "all well" });
  });

  it("never offer a sensor's fault as a failure code", () => {
    const ticket = (code: string) => ({ mode: { code, name: { en: "", zh: "" } } }) as Ticket;
    expect(codeOf(ticket("sensor:flow:stuck"))).toBeNull();
    expect(codeOf(ticket("unknown"))).toBeNull();
    expect(codeOf(ticket("bearing_wear"))).toBe("bearing_wear");
  });
});

describe("timeline", () => {
  const event = (kind: string, body: Record<string, unknown>) =>
    ({ seq: 1, at: "", actor: { kind: "person", name: "A" }, kind, audience: "internal", body, hash: "" }) as TicketEvent;
  const crew = [{ engineer_id: 7, name: "Li", skills: {}, on_shift: true, open_jobs: 0 }];

  it("names the person and the reasons of an assignment", () => {
    const body = { before: { assignee_id: null }, after: { assignee_id: 7, assignment_reasons: [{ en: "on shift", zh: "在班" }] } };
    expect(saying(event("assigned", body), crew, speech)).toEqual(["→ Li", "on shift"]);
  });

  it("says what was found and done", () => {
    const body = { after: { status: "done" }, verdict: "confirmed", failure_code: "cavitation", note: "cleaned the strainer" };
    expect(saying(event("transition", body), crew, speech)).toEqual(["Fault confirmed · cavitation", "cleaned the strainer"]);
  });

  it("shows an edit as was and is", () => {
    const body = { before: { priority: 3 }, after: { priority: 1 } };
    expect(saying(event("edited", body), crew, speech)).toEqual(["Priority: normal → urgent"]);
  });

  it("keeps what repeats without anything between together, in order", () => {
    const kinds = ["opened", "deadline", "deadline", "comment", "deadline"];
    const items = kinds.map((kind, index) => ({ ...event(kind, {}), seq: index + 1 })).reverse();
    expect(runs(items).map((run) => run.map((one) => one.seq))).toEqual([[1], [2, 3], [4], [5]]);
  });
});

describe("markdown", () => {
  it("finds blocks", () => {
    const text = "# One\n\nA line\ngoes on\n\n1. first\n2. second\n   more\n\n- a\n- b\n\n> careful\n\n```\n# no heading\n```";
    expect(blocks(text).map((block) => [block.kind, block.lines])).toEqual([
      ["heading", ["One"]],
      ["p", ["A line", "goes on"]],
      ["ol", ["first", "second more"]],
      ["ul", ["a", "b"]],
      ["quote", ["careful"]],
      ["code", ["# no heading"]],
    ]);
  });
});

describe("tree", () => {
  const node = (asset_id: number, code: string, parent_id: number | null) => ({ asset_id, code, parent_id }) as AssetItem;

  it("walks depth first, by code, and hides what is shut", () => {
    const items = [node(3, "B", 1), node(2, "A", 1), node(4, "A1", 2), node(1, "ROOT", null), node(5, "LOST", 99)];
    expect(branches(items, new Set()).map((row) => [row.asset.code, row.depth])).toEqual([
      ["LOST", 0], ["ROOT", 0], ["A", 1], ["A1", 2], ["B", 1],
    ]);
    expect(branches(items, new Set([2])).map((row) => row.asset.code)).toEqual(["LOST", "ROOT", "A", "B"]);
  });
});

describe("words and numbers", () => {
  it("show spans in one unit", () => {
    expect([0, 0.5, 1.5, 47, 48, 240].map((hours) => span(hours, speech))).toEqual(["0 s", "30 min", "1.5 h", "47 h", "2 d", "10 d"]);
  });

  it("never claim certainty that is not there", () => {
    expect([0, 0.004, 0.5, 0.996, 1, null].map(percent)).toEqual(["0 %", "< 1 %", "50 %", "> 99 %", "100 %", "–"]);
  });

  it("show three significant digits", () => {
    expect([0.01234, 3.2149, 48.52, 1480.4, null].map((value) => number(value, speech))).toEqual(["0.012", "3.21", "48.5", "1,480", "–"]);
  });

  it("know when a value has left its band", () => {
    const series = { signal_id: 1, unit: "", resolution: "", at: [1, 2, 3, 4, 5], value: [1, 5, 5, 5, 9], min: null, max: null };
    const bands = (at: number[], high: number) =>
      ({ ...series, bands: { at, low: at.map(() => 0), expected: at.map(() => 2), high: at.map(() => high) } });
    expect(outside(bands([2, 3, 4], 4))).toBe(true);
    expect(outside(bands([1, 2, 3], 4))).toBe(false); // it was inside a moment ago
    expect(outside(bands([2, 3, 4], 6))).toBe(false); // 9 came after the last band, under another load perhaps
    expect(outside(bands([], 4))).toBeNull();
    expect(outside({ ...bands([1, 2], 0.5), at: [1, 2, 3, 40], value: [1, 1, 1, 1] })).toBeNull(); // long unjudged
  });

  it("read routes, even damaged ones", () => {
    expect(parse("#/orders/12?q=a%20b").path).toEqual(["orders", "12"]);
    expect(parse("#/orders/12?q=a%20b").search.get("q")).toBe("a b");
    expect(parse("#/link/%").path).toEqual(["link", "%"]);
  });
});
