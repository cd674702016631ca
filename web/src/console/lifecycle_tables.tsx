// A life cycle as tables and as lines to compare.
import type { ReactNode } from "react";
import type { Life, Need, Standing, Step } from "../api/settings";
import { useSpeech, type Speech } from "../i18n";
import { both, Scroll, type Lines } from "../parts/setting";

/** A draft may be unfinished in any way; what is missing is empty here, and the check says it. */
export function whole(given: Partial<Life>): Life {
  const states = Object.entries(given.states ?? {}).map(([name, one]) => [name, { ...one, label: both(one?.label) }] as const);
  const steps = (Array.isArray(given.transitions) ? given.transitions : []) as Partial<Step>[];
  return {
    initial: String(given.initial ?? ""),
    states: Object.fromEntries(states),
    transitions: steps.map((one) => ({ ...one, from: one.from ?? [], to: String(one.to ?? ""), label: both(one.label), roles: one.roles ?? [] })),
  };
}

/** States in the order in which a ticket comes by them. */
export function ordered(life: Life): string[] {
  const seen = [life.initial];
  for (const state of seen) {
    for (const step of life.transitions) {
      if (step.from.includes(state) && !seen.includes(step.to)) seen.push(step.to);
    }
  }
  const ends = (name: string) => Number(name === "closed") + 2 * Number(name === "cancelled");
  return [...seen.filter((name) => life.states[name]).sort((a, b) => ends(a) - ends(b)), ...Object.keys(life.states).filter((name) => !seen.includes(name))];
}

export function stateName(life: Life, name: string, speech: Speech): string {
  return speech.say(life.states[name]?.label) || name;
}

export function needText(need: Need, speech: Speech): string {
  if (typeof need === "string") return fieldText(need, speech);
  const when = Object.entries(need.when).map(([field, values]) => `${fieldText(field, speech)} = ${values.map((one) => speech.code("verdict", one)).join(" / ")}`);
  return speech.t("life.needWhen", { field: fieldText(need.field, speech), when: when.join(", ") });
}

export function fieldText(name: string, speech: Speech): string {
  return speech.known("lifeField", name.replace("ticket.", "ticket_")) ?? name;
}

function stepText(step: Step, speech: Speech): string {
  const parts = [step.roles.map((one) => speech.code("role", one)).sort().join(", ")];
  if (step.guards?.length) parts.push(step.guards.map((one) => speech.code("lifeGuard", one)).join(", "));
  if (step.requires?.length) parts.push(step.requires.map((one) => needText(one, speech)).join(", "));
  return parts.join(" · ");
}

/** One line a state and a line a step from each state. */
export function lifeLines(life: Life, speech: Speech): Lines {
  const lines: Lines = { [speech.t("life.initial")]: stateName(life, life.initial, speech) };
  for (const [name, state] of Object.entries(life.states)) {
    const clocks = [...(state.stops ?? []).map((one) => `■ ${one}`).sort(), ...(state.resumes ?? []).map((one) => `▶ ${one}`).sort(), ...(state.pauses_for ?? []).map((one) => `‖ ${one}`).sort()];
    lines[`${speech.t("life.state")} ${name}`] = [state.label.en, state.label.zh, ...clocks].join(", ");
  }
  for (const step of life.transitions) {
    for (const from of step.from) {
      const way = `${stateName(life, from, speech)} → ${stateName(life, step.to, speech)} (${speech.say(step.label)})`;
      lines[way] = stepText(step, speech);
    }
  }
  return lines;
}

export function StateTable({ life, actions }: { life: Life; actions?: (name: string) => ReactNode }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const clocks = (names: string[] | undefined) => names?.map((one) => code("slaClock", one)).join(", ") || "–";
  return (
    <div className="scroll">
      <table className="list cards middle">
        <thead>
          <tr>
            <th scope="col">{t("life.state")}</th><th scope="col">{t("life.stops")}</th><th scope="col">{t("life.resumes")}</th><th scope="col">{t("life.pauses")}</th>
            {actions && <th scope="col">{t("setting.actions")}</th>}
          </tr>
        </thead>
        <tbody>
          {ordered(life).map((name) => {
            const state = life.states[name];
            return (
              <tr key={name}>
                <th scope="row"><strong>{stateName(life, name, speech)}</strong> <code className="soft small">{name}</code> {name === life.initial && <span className="chip">{t("life.initial")}</span>}</th>
                <td data-label={t("life.stops")}>{clocks(state?.stops)}</td>
                <td data-label={t("life.resumes")}>{clocks(state?.resumes)}</td>
                <td data-label={t("life.pauses")}>{state?.pauses_for?.map((one) => code("hold", one)).join(", ") || "–"}</td>
                {actions && <td data-label={t("setting.actions")}>{actions(name)}</td>}
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

export function StepTable({ life, actions }: { life: Life; actions?: (at: number) => ReactNode }) {
  const speech = useSpeech();
  const { t, code, say } = speech;
  const order = ordered(life);
  return (
    <div className="scroll">
      <table className="list cards">
        <thead>
          <tr>
            <th scope="col">{t("life.step")}</th><th scope="col">{t("life.from")}</th><th scope="col">{t("life.to")}</th>
            <th scope="col">{t("life.who")}</th><th scope="col">{t("life.guards")}</th><th scope="col">{t("life.needs")}</th>
            {actions && <th scope="col">{t("setting.actions")}</th>}
          </tr>
        </thead>
        <tbody>
          {life.transitions.map((step, at) => (
            <tr key={`${at} ${step.to}`}>
              <th scope="row"><strong>{say(step.label)}</strong></th>
              <td data-label={t("life.from")}>{order.filter((one) => step.from.includes(one)).map((one) => stateName(life, one, speech)).join(", ")}</td>
              <td data-label={t("life.to")}>{stateName(life, step.to, speech)}</td>
              <td data-label={t("life.who")}>{step.roles.map((one) => code("role", one)).join(", ")}</td>
              <td data-label={t("life.guards")}>{step.guards?.map((one) => code("lifeGuard", one)).join(", ") || "–"}</td>
              <td data-label={t("life.needs")}>{step.requires?.map((one) => needText(one, speech)).join(", ") || "–"}</td>
              {actions && <td data-label={t("setting.actions")}>{actions(at)}</td>}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function Standings({ items }: { items: Standing[] }) {
  const { t, code } = useSpeech();
  if (items.length === 0) return <p className="soft">{t("life.noneOpen")}</p>;
  return (
    <Scroll label={t("life.standings")}>
      <table className="list">
        <thead><tr><th scope="col">{t("life.version")}</th><th scope="col">{t("life.state")}</th><th scope="col" className="num">{t("life.open")}</th><th scope="col">{t("life.fate")}</th><th scope="col">{t("life.examples")}</th></tr></thead>
        <tbody>
          {items.map((one) => (
            <tr key={`${one.version} ${one.state}`}>
              <td>{one.version || t("life.builtIn")}</td><td>{code("status", one.state)}</td><td className="num">{one.count}</td>
              <td>{code("lifeFate", one.fate)}</td><td className="small">{one.refs.join(", ")}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}
