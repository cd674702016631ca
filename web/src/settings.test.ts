import { describe, expect, it } from "vitest";
import type { Life } from "./api/settings";
import { drawn, levels } from "./console/lifecycle_graph";
import type { Speech } from "./i18n";
import { localAt, momentAt } from "./i18n/zone";

const speech = { say: (text: { en: string } | undefined) => text?.en ?? "" } as unknown as Speech;
const label = (en: string) => ({ en, zh: en });
const LIFE: Life = {
  initial: "new", states: { new: { label: label("New") }, assigned: { label: label("Assigned") }, closed: { label: label("Closed") } },
  transitions: [{ from: ["new"], to: "assigned", label: label("Assign"), roles: ["planner"] }, { from: ["new", "assigned"], to: "closed", label: label("Close"), roles: ["planner"] }],
};

describe("a life cycle drawn", () => {
  it("goes from the first state on, and ends last", () => {
    expect([...levels(LIFE)].sort()).toEqual([["assigned", 1], ["closed", 2], ["new", 0]]);
  });
  it("marks what a draft adds, changes and takes away", () => {
    const draft: Life = {
      initial: "new", states: { new: { label: label("Fresh") }, held: { label: label("Held") }, closed: { label: label("Closed") } },
      transitions: [{ from: ["new"], to: "held", label: label("Hold"), roles: ["planner"] }, { from: ["new"], to: "closed", label: label("Close"), roles: ["manager"] }],
    };
    const { boxes, arrows } = drawn(draft, LIFE, speech);
    expect(Object.fromEntries(boxes.map((one) => [one.name, one.mark]))).toEqual({ new: "changed", held: "new", closed: "same", assigned: "gone" });
    expect(Object.fromEntries(arrows.map((one) => [one.key, one.mark]))).toEqual({ "new held": "new", "new closed": "changed", "new assigned": "gone", "assigned closed": "gone" });
  });
});

describe("a site's clock", () => {
  it.each(["Asia/Shanghai", "Europe/Berlin", "America/St_Johns", "UTC"])("comes back to the same minute in %s", (zone) => {
    for (const at of ["2026-01-15T08:30:00.000Z", "2026-03-29T12:00:00.000Z", "2026-10-25T05:00:00.000Z"]) expect(momentAt(localAt(at, zone), zone)).toBe(at);
  });
  it("knows summer time", () => expect(momentAt("2026-07-01T08:00", "Europe/Berlin")).toBe("2026-07-01T06:00:00.000Z"));
});
