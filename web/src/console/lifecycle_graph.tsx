// A life cycle drawn: states in the order in which a ticket comes by them, steps as arrows, and what a draft changes.
import type { Life } from "../api/settings";
import { useSpeech, type Speech } from "../i18n";
import { Scroll } from "../parts/setting";
import { ordered, stateName } from "./lifecycle_tables";

const WIDTH = 116;
const HEIGHT = 46;
const ACROSS = 162;
const DOWN = 92;
const MANY = 5; // ways in that would hide the rest
const MARGIN = 14;
const BELOW = 34;
const LETTERS = 15; // of a line in a box

export type Mark = "same" | "new" | "gone" | "changed";
type Box = { name: string; label: string; x: number; y: number; level: number; mark: Mark };
type Arrow = { key: string; from: Box; to: Box; says: string; mark: Mark };
type Point = [number, number];

/** How far each state lies from the first. */
export function levels(life: Life): Map<string, number> {
  const found = new Map([[life.initial, 0]]);
  for (const [name, level] of found) {
    for (const step of life.transitions) {
      if (step.from.includes(name) && life.states[step.to] && !found.has(step.to)) found.set(step.to, level + 1);
    }
  }
  const last = Math.max(...found.values());
  for (const name of Object.keys(life.states)) if (!found.has(name)) found.set(name, last + 1);
  const inner = Math.max(0, ...[...found].filter(([name]) => name !== "closed" && name !== "cancelled").map(([, level]) => level));
  for (const name of ["closed", "cancelled"]) if (found.has(name)) found.set(name, inner + 1);
  return found;
}

/** Steps by the two states that they join. */
function ways(life: Life): Map<string, Life["transitions"]> {
  const found = new Map<string, Life["transitions"]>();
  for (const step of life.transitions) {
    for (const from of step.from) found.set(`${from} ${step.to}`, [...(found.get(`${from} ${step.to}`) ?? []), step]);
  }
  return found;
}

function marked<T>(was: T | undefined, is: T | undefined, compared: boolean): Mark {
  if (!compared) return "same";
  if (was === undefined) return "new";
  if (is === undefined) return "gone";
  return JSON.stringify(was) === JSON.stringify(is) ? "same" : "changed";
}

const plainState = (state: Life["states"][string] | undefined) => state && { label: state.label, stops: [...(state.stops ?? [])].sort(), resumes: [...(state.resumes ?? [])].sort(), pauses: [...(state.pauses_for ?? [])].sort() };
const plainSteps = (steps: Life["transitions"] | undefined) => steps?.map((one) => ({ label: one.label, roles: [...one.roles].sort(), guards: [...(one.guards ?? [])].sort(), requires: one.requires ?? [] }));

/** Where everything is drawn; `was`: what counts now, to mark what differs from it. */
export function drawn(life: Life, was: Life | null, speech: Speech): { boxes: Box[]; arrows: Arrow[] } {
  const all: Life = was ? { ...life, states: { ...was.states, ...life.states }, transitions: [...life.transitions, ...was.transitions] } : life;
  const far = levels(all);
  const rows = new Map<number, number>();
  const boxes = ordered(all).map((name): Box => {
    const level = far.get(name) ?? 0;
    const row = rows.get(level) ?? 0;
    rows.set(level, row + 1);
    const mark = marked(plainState(was?.states[name]), plainState(life.states[name]), was !== null);
    return { name, label: stateName(all, name, speech), level, mark, x: MARGIN + level * ACROSS, y: MARGIN + row * DOWN };
  });
  const at = new Map(boxes.map((box) => [box.name, box]));
  const [before, now] = [was ? ways(was) : new Map<string, Life["transitions"]>(), ways(life)];
  const arrows = [...new Set([...now.keys(), ...before.keys()])].flatMap((key): Arrow[] => {
    const [from, to] = key.split(" ").map((name) => at.get(name));
    if (!from || !to) return [];
    const steps = now.get(key) ?? before.get(key) ?? [];
    return [{ key, from, to, says: steps.map((one) => speech.say(one.label)).join(" / "), mark: marked(plainSteps(before.get(key)), plainSteps(now.get(key)), was !== null) }];
  });
  return { boxes, arrows };
}

function curve({ from, to }: Arrow): { path: string; middle: Point } {
  const [start, end, first, second] = ends(from, to);
  const middle: Point = [0, 1].map((i) => (start[i]! + 3 * first[i]! + 3 * second[i]! + end[i]!) / 8) as Point;
  return { path: `M${start} C${first} ${second} ${end}`, middle };
}

/** Forward from side to side; back and beside around what lies between. */
function ends(from: Box, to: Box): [Point, Point, Point, Point] {
  const half = HEIGHT / 2;
  if (to.level > from.level) {
    const [start, end]: [Point, Point] = [[from.x + WIDTH, from.y + half], [to.x - 4, to.y + half]];
    const pull = Math.max(30, (end[0] - start[0]) / 2);
    const lift = to.level - from.level > 1 && from.y === to.y ? BELOW + 6 * (to.level - from.level) : 0;
    return [start, end, [start[0] + pull, start[1] + lift], [end[0] - pull, end[1] + lift]];
  }
  if (to.level === from.level) {
    const [start, end]: [Point, Point] = [[from.x + WIDTH, from.y + half + 6], [to.x + WIDTH + 4, to.y + half - 6]];
    return [start, end, [start[0] + 40, start[1]], [end[0] + 40, end[1]]];
  }
  const [start, end]: [Point, Point] = [[from.x + WIDTH / 2 - 14, from.y + HEIGHT], [to.x + WIDTH / 2 + 14, to.y + HEIGHT + 4]];
  const deep = BELOW + 8 * (from.level - to.level);
  return [start, end, [start[0] - 20, start[1] + deep], [end[0] + 20, end[1] + deep]];
}

function lines(label: string): string[] {
  if (label.length <= LETTERS) return [label];
  const cut = label.lastIndexOf(" ", LETTERS);
  return cut > 0 ? [label.slice(0, cut), label.slice(cut + 1)] : [label.slice(0, LETTERS), label.slice(LETTERS)];
}

export function LifecycleGraph({ life, was = null }: { life: Life; was?: Life | null }) {
  const speech = useSpeech();
  const { t } = speech;
  const { boxes, arrows } = drawn(life, was, speech);
  const into = new Map(boxes.map((box) => [box.name, arrows.filter((one) => one.to === box && one.mark === "same").length]));
  const crowded = (box: Box) => (into.get(box.name) ?? 0) >= MANY && box.name !== life.initial && !arrows.some((one) => one.from === box);
  const width = Math.max(...boxes.map((box) => box.x)) + WIDTH + MARGIN + 10;
  const height = Math.max(...boxes.map((box) => box.y)) + HEIGHT + 64;
  const word: Record<Mark, string> = { same: "", new: t("life.graphNew"), gone: t("life.graphGone"), changed: t("life.graphChanged") };
  const sorted = arrows.filter((one) => one.mark !== "same" || !crowded(one.to)).sort((one, other) => Number(one.mark !== "same") - Number(other.mark !== "same"));
  return (
    <section className="panel stack tight" aria-label={t("life.graph")}>
      <h2>{t("life.graph")}</h2>
      <p className="soft small">{t("life.graphLead")}</p>
      <Scroll label={t("life.graph")}>
        <svg className="life-graph" role="img" aria-label={t("life.graphAlt", { states: boxes.length, steps: arrows.length })} width={width} height={height} viewBox={`0 0 ${width} ${height}`}>
          <defs>
            <marker id="life-tip" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse"><path d="M0 0 8 4 0 8Z" fill="context-stroke" /></marker>
          </defs>
          {sorted.map((arrow) => <path key={arrow.key} className={`life-arrow ${arrow.mark}`} d={curve(arrow).path} markerEnd="url(#life-tip)"><title>{`${arrow.from.label} → ${arrow.to.label}: ${arrow.says}`}</title></path>)}
          {boxes.map((box) => {
            const text = lines(box.label);
            return (
              <g key={box.name} className={`life-box ${box.mark} ${box.name === life.initial ? "first" : ""}`}>
                <rect x={box.x} y={box.y} width={WIDTH} height={HEIGHT} rx="8" />
                {text.map((line, row) => <text key={row} x={box.x + WIDTH / 2} y={box.y + HEIGHT / 2 + 4 + (row - (text.length - 1) / 2) * 15}>{line}</text>)}
                {crowded(box) && <text className="life-from" x={box.x + WIDTH / 2} y={box.y + HEIGHT + 16}>{t("life.anyState", { n: into.get(box.name) ?? 0 })}</text>}
                {word[box.mark] && <text className="life-word" x={box.x + WIDTH / 2} y={box.y - 3}>{word[box.mark]}</text>}
              </g>
            );
          })}
          {sorted.filter((arrow) => arrow.mark !== "same").map((arrow) => {
            const [x, y] = curve(arrow).middle;
            return <text key={arrow.key} className={`life-word ${arrow.mark}`} x={x} y={y - 4}>{`${word[arrow.mark]}: ${arrow.says}`}</text>;
          })}
        </svg>
      </Scroll>
    </section>
  );
}
