// The dispatch board's own reckoning: which plan is looked at, and whose visit lies on which day.
import { describe, expect, it } from "vitest";
import { board, current, type Plan, type Visit } from "./api/dispatch";

const plan = (plan_id: number, status: Plan["status"]): Plan => ({
  plan_id, status, cause: "plan", maker: null, reason: "", cost: null, greedy_cost: null, moved: 0, left_over: [], base_id: null, because: [], by_itself: false, made_at: "",
});
const visit = (visit_id: number, engineer_id: number, engineer: string, starts: string): Visit => ({
  visit_id, ticket_id: visit_id, ref: "", title: "", priority: 3, engineer_id, engineer, starts, ends: starts, frozen: false,
  change: "new", reasons: [], travel_s: 0, parts: [],
});

describe("current", () => {
  it("shows a newer draft instead of what stands, and nothing that was thrown away", () => {
    expect(current([plan(1, "accepted"), plan(2, "draft"), plan(3, "discarded")])?.plan_id).toBe(2);
    expect(current([plan(4, "accepted"), plan(2, "draft")])?.plan_id).toBe(4);
    expect(current([plan(1, "superseded")])).toBeNull();
  });
});

describe("board", () => {
  it("puts visits on the day that the site's clock shows", () => {
    const found = board(
      [visit(1, 7, "Wang", "2026-03-02T23:30:00Z"), visit(2, 8, "Lin", "2026-03-02T08:00:00Z"), visit(3, 7, "Wang", "2026-03-03T01:00:00Z")],
      "Asia/Shanghai",
    );
    expect(found.days).toEqual(["2026-03-02", "2026-03-03"]);
    expect(found.people.map(([, name]) => name)).toEqual(["Lin", "Wang"]);
    expect(found.people[1]?.[2].get("2026-03-03")?.map((one) => one.visit_id)).toEqual([1, 3]);
  });
});
