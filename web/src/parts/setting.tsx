// What pages of settings share: sending with its refusal in words, differences between two versions, choices as boxes.
import { useState, type ReactNode } from "react";
import { Button, Checkbox } from "@mantine/core";
import { Problem } from "../api/client";
import type { Words } from "../api/types";
import { useSpeech, type Speech } from "../i18n";

export type Lines = Record<string, string>;

export type Job = { run: (work: () => Promise<void>) => Promise<void>; busy: boolean; problem: Problem | null; clear: () => void };

/** Runs one request at a time and keeps what the API said no with. */
export function useJob(): Job {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const run = async (work: () => Promise<void>) => {
    setBusy(true);
    setProblem(null);
    try {
      await work();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setProblem(error);
    } finally {
      setBusy(false);
    }
  };
  return { run, busy, problem, clear: () => setProblem(null) };
}

export function isConflict(problem: Problem | null): boolean {
  return problem !== null && (problem.status === 409 || problem.status === 412);
}

/** What stands there was not looked at, or not as it stands now. */
export function isUnseen(problem: Problem | null): boolean {
  return problem?.status === 428 || isConflict(problem);
}

type Fault = { field?: string; loc?: (string | number)[]; detail?: string; msg?: string; message?: string };

export function Refused({ problem }: { problem: Problem | null }) {
  const { t } = useSpeech();
  if (problem === null) return null;
  const faults = (problem.errors as Fault[]).map((one) => [one.field ?? one.loc?.slice(1).join(" "), one.detail ?? one.msg ?? one.message].filter(Boolean).join(": "));
  return (
    <div className="problem" role="alert" style={{ display: "block" }}>
      <strong>{problem.status === 0 ? t("send.failed") : problem.detail || t("state.failed")}</strong>
      {faults.length > 0 && <ul>{faults.map((one) => <li key={one}>{one}</li>)}</ul>}
    </div>
  );
}

/** Somebody else was faster: what they made of it beside what is on the screen, and both ways out. */
export function Overtaken({ by, mine, theirs, take, keep }: { by: string; mine: Lines; theirs: Lines; take: () => void; keep: () => void }) {
  const { t } = useSpeech();
  return (
    <div className="problem" role="alert" style={{ display: "block" }}>
      <strong>{t("setting.overtaken", { who: by || "–" })}</strong>
      <p>{t("setting.overtakenLead")}</p>
      <Difference was={theirs} is={mine} />
      <div className="row" style={{ marginTop: 8 }}>
        <Button variant="default" onClick={take}>{t("setting.takeTheirs")}</Button>
        <Button variant="default" onClick={keep}>{t("setting.keepMine")}</Button>
      </div>
    </div>
  );
}

export function changed(was: Lines, is: Lines): string[] {
  return [...new Set([...Object.keys(was), ...Object.keys(is)])].filter((name) => was[name] !== is[name]);
}

export function Difference({ was, is }: { was: Lines; is: Lines }) {
  const { t } = useSpeech();
  const names = changed(was, is);
  if (names.length === 0) return <p className="soft">{t("setting.noDifference")}</p>;
  return (
    <ul className="stack tight" style={{ overflowWrap: "anywhere" }}>
      {names.map((name) => (
        <li key={name}>
          <strong>{name}</strong>:{" "}
          {was[name] === undefined ? <><span className="chip">{t("setting.added")}</span> {is[name]}</>
            : is[name] === undefined ? <><span className="chip">{t("setting.gone")}</span> <s>{was[name]}</s></>
            : <><s>{was[name] || "–"}</s> → <strong>{is[name] || "–"}</strong></>}
        </li>
      ))}
    </ul>
  );
}

/** Any plain data as lines; names by the dictionary's family `settingName` where it has them. */
export function linesOf(value: Record<string, unknown>, speech: Speech): Lines {
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [speech.code("settingName", name), plain(one)]));
}

function plain(value: unknown): string {
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

export function Boxes({ label, hint, all, chosen, change, words, disabled }: {
  label: string; hint?: string; all: string[]; chosen: string[]; change: (next: string[]) => void; words: (one: string) => string; disabled?: boolean;
}) {
  return (
    <Checkbox.Group label={label} description={hint} value={chosen} onChange={change}>
      <div className="row" style={{ gap: "6px 14px", marginTop: 4 }}>
        {[...new Set([...all, ...chosen])].map((one) => <Checkbox key={one} size="sm" value={one} label={words(one)} disabled={disabled} />)}
      </div>
    </Checkbox.Group>
  );
}

export function both(text: Words | undefined): Words {
  return { en: text?.en ?? "", zh: text?.zh ?? "" };
}

/** A missing language borrows the other's words. */
export function filled(text: Words): Words {
  return { en: text.en || text.zh, zh: text.zh || text.en };
}

export function listed(text: string): string[] {
  return text.split(/[,，、]/).map((one) => one.trim()).filter(Boolean);
}

export function Head({ title, lead, back, backTo, children }: { title: string; lead?: string; back?: string; backTo?: string; children?: ReactNode }) {
  return (
    <>
      {backTo && <p className="crumb"><a href={backTo}>← {back}</a></p>}
      <div className="page-head"><div><h1>{title}</h1>{lead && <p>{lead}</p>}</div>{children && <div className="row">{children}</div>}</div>
    </>
  );
}

export function Scroll({ label, children }: { label: string; children: ReactNode }) {
  return <div className="scroll" tabIndex={0} role="region" aria-label={label}>{children}</div>;
}
