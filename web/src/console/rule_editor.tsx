// One rule: written in blocks, checked while it is written, tried on the recorded history, then put in force.
import { useState } from "react";
import { Button, NumberInput, TagsInput, Textarea, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { call, Problem } from "../api/client";
import { queryClient } from "../api/queries";
import { useRule, useRuleCheck, useRuleWords, type Definition, type Rule, type RuleForm, type RuleWords, type Trial } from "../api/rules";
import type { Me } from "../api/types";
import { useSpeech } from "../i18n";
import { number } from "../i18n/format";
import { Age, ToneMark } from "../parts/marks";
import { useDraft } from "../parts/draft";
import { linesOf, Overtaken } from "../parts/setting";
import { Await } from "../parts/states";
import { toast } from "../parts/toasts";
import { go } from "../router";
import { Blocks, type Block } from "./rule_actions";
import { RunLog, StateMark } from "./rules";

const CHECK_MS = 400;
const NEW: Record<RuleForm, Definition> = {
  rule: { name: { en: "", zh: "" }, when: { on: ["opened"] }, if: "ticket.kind == 'incident'", then: [{ do: "notify", to: ["planners"], text: "{ticket.ref}" }] },
  guard: { name: { en: "", zh: "" }, leaving: ["new"], entering: ["done", "closed"], if: "ticket.cost > 1000", approval: { topic: "finance", role: "manager", amount: "ticket.cost" } },
};

export default function RuleEditor({ ruleId, form, me }: { ruleId: number | null; form: RuleForm; me: Me }) {
  const words = useRuleWords();
  const rule = useRule(ruleId);
  if (ruleId === null) return <Await query={words}>{(known) => <Editor rule={null} form={form} words={known} me={me} />}</Await>;
  return (
    <Await query={words}>
      {(known) => <Await query={rule}>{(found) => <Editor key={found.rule_id} rule={found} form={found.form} words={known} me={me} />}</Await>}
    </Await>
  );
}

function Editor({ rule, form, words, me }: { rule: Rule | null; form: RuleForm; words: RuleWords; me: Me }) {
  const speech = useSpeech();
  const { t, say } = speech;
  const [code, setCode] = useState(rule?.code ?? "");
  const { draft: definition, set: setDefinition, base, version, theirs, take, keep, saved } = useDraft(rule, (one) => one.definition, () => NEW[form]);
  const [settled] = useDebouncedValue(definition, CHECK_MS);
  const checked = useRuleCheck(form, named(settled, rule?.code ?? (code || "draft")));
  const [trial, setTrial] = useState<Trial | null>(null);
  const [busy, setBusy] = useState(false);
  const set = (name: string, value: unknown) => {
    const { [name]: _, ...rest } = definition;
    setDefinition(value === undefined ? rest : { ...rest, [name]: value });
  };
  const run = async (work: () => Promise<void>) => {
    setBusy(true);
    try {
      await work();
      await queryClient.invalidateQueries({ queryKey: ["rule"] });
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      toast(error.message);
    } finally {
      setBusy(false);
    }
  };
  const changed = base === null || JSON.stringify(base.definition) !== JSON.stringify(definition);
  const good = checked.data?.good === true && settled === definition;
  const save = () => run(async () => {
    if (rule) {
      saved(await call<Rule>(`/rules/${rule.rule_id}`, { method: "PUT", version, body: { definition: named(definition, rule.code) } }));
    } else {
      const made = await call<Rule>("/rules", { method: "POST", body: { code, form, definition: named(definition, code) } });
      go(`/rules/${made.rule_id}`, "replace");
    }
    toast(t("rules.saved"));
  });
  const step = (verb: string) => run(async () => {
    await call(`/rules/${rule?.rule_id}/${verb}`, { method: "POST", version: rule?.version, body: {} });
  });
  const rehearse = (days: number) => run(async () => {
    const path = rule && !changed ? `/rules/${rule.rule_id}/rehearse` : "/rules/rehearse";
    setTrial(await call<Trial>(path, { method: "POST", body: rule && !changed ? { days } : { form, definition: named(definition, rule?.code ?? (code || "draft")), days } }));
  });
  const may = me.role !== "planner" || (form === "rule" && rule?.status !== "enabled");
  return (
    <>
      <div className="page-head">
        <div>
          <p><a href="#/rules">{t("rules.title")}</a></p>
          <h1>{rule ? say(rule.name) : t(form === "guard" ? "rules.newGuard" : "rules.new")}</h1>
          {rule && <div className="row"><StateMark rule={rule} /><span className="soft small">{t("rules.version", { n: rule.version })} · {rule.changed_by} <Age at={rule.changed_at} /></span></div>}
        </div>
        {rule && me.role !== "planner" && (
          <div className="row">
            {rule.status === "enabled"
              ? <Button variant="default" loading={busy} onClick={() => void step("disable")}>{t("rules.disable")}</Button>
              : <Button loading={busy} disabled={changed} onClick={() => void step("enable")}>{t("rules.enable")}</Button>}
            <Button variant="default" loading={busy} onClick={() => void step("retire")}>{t("rules.retire")}</Button>
          </div>
        )}
      </div>
      {rule?.stopped_why && <div className="panel" role="alert"><ToneMark tone="alarm">{rule.stopped_why}</ToneMark></div>}
      {rule && rule.status !== "enabled" && rule.warnings.length > 0 && <p><ToneMark tone="watch">{t("rules.untried")}</ToneMark></p>}
      <div className="stack" style={{ gap: 16 }}>
        <section className="panel stack">
          {!rule && <TextInput label={t("rules.code")} description={t("rules.codeHint")} withAsterisk value={code} onChange={(event) => setCode(event.currentTarget.value)} />}
          <Names definition={definition} set={set} />
          {form === "rule" ? <When definition={definition} set={set} words={words} /> : <Watched definition={definition} set={set} />}
          <Textarea
            label={t("rules.if")} description={t("rules.ifHint")} autosize minRows={2} spellCheck={false}
            styles={{ input: { fontFamily: "ui-monospace, monospace" } }}
            value={String(definition.if ?? "")} onChange={(event) => set("if", event.currentTarget.value || undefined)}
          />
          <Help words={words} />
          {form === "rule" && (
            <>
              <h2>{t("rules.then")}</h2>
              <Blocks blocks={(definition.then as Block[]) ?? []} change={(next) => set("then", next)} actions={words.actions} />
            </>
          )}
          {theirs && <Overtaken by={theirs.changed_by} mine={linesOf(definition, speech)} theirs={linesOf(theirs.definition, speech)} take={take} keep={keep} />}
          <p role="status">
            {checked.data && (checked.data.good ? <span className="soft">{t("rules.good")}</span> : <ToneMark tone="watch"><span style={{ whiteSpace: "normal" }}>{checked.data.problem}</span></ToneMark>)}
          </p>
          <div className="row">
            {may && <Button disabled={!good || !changed || (!rule && !code)} loading={busy} onClick={() => void save()}>{t("rules.save")}</Button>}
          </div>
        </section>
        <TrialPanel trial={trial} run={rehearse} disabled={!good} busy={busy} />
        {rule && <section className="stack"><h2>{t("rules.log")}</h2><RunLog ruleId={rule.rule_id} /></section>}
      </div>
    </>
  );
}

type Part = { definition: Definition; set: (name: string, value: unknown) => void };

function Names({ definition, set }: Part) {
  const { t } = useSpeech();
  const name = definition.name;
  const texts = typeof name === "object" && name !== null ? (name as Record<string, string>) : { en: String(name ?? ""), zh: String(name ?? "") };
  return (
    <div className="row" style={{ alignItems: "flex-end" }}>
      <TextInput label={t("rules.nameEn")} value={texts.en ?? ""} onChange={(event) => set("name", { ...texts, en: event.currentTarget.value })} />
      <TextInput label={t("rules.nameZh")} value={texts.zh ?? ""} onChange={(event) => set("name", { ...texts, zh: event.currentTarget.value })} />
    </div>
  );
}

/** A rule without a name is called by its code; both languages have to say something. */
function named(definition: Definition, code: string): Definition {
  const { name, ...rest } = definition;
  const texts: Record<string, string> = typeof name === "string" ? { en: name, zh: name } : ((name ?? {}) as Record<string, string>);
  const some = texts.en || texts.zh || code;
  return { ...rest, name: { en: texts.en || some, zh: texts.zh || some } };
}

function When({ definition, set, words }: Part & { words: RuleWords }) {
  const { t } = useSpeech();
  const when = (definition.when ?? {}) as { on?: string[]; after?: string; every?: string };
  const put = (next: Record<string, unknown>) => set("when", Object.fromEntries(Object.entries(next).filter(([, value]) => value !== undefined && value !== "")));
  return (
    <div className="row" style={{ alignItems: "flex-start" }}>
      <TagsInput label={t("rules.on")} description={t("rules.onHint")} data={[...words.events, "*"]} value={when.on ?? []} onChange={(on) => put({ on: on.length ? on : undefined, after: when.after })} />
      <TextInput label={t("rules.after")} description={t("rules.afterHint")} value={when.after ?? ""} onChange={(event) => put({ on: when.on ?? ["opened"], after: event.currentTarget.value })} />
      <TextInput label={t("rules.every")} description={t("rules.everyHint")} value={when.every ?? ""} onChange={(event) => put(event.currentTarget.value ? { every: event.currentTarget.value } : { on: ["opened"] })} />
    </div>
  );
}

function Watched({ definition, set }: Part) {
  const { t } = useSpeech();
  const approval = (definition.approval ?? {}) as Record<string, string>;
  const states = (name: string) => (Array.isArray(definition[name]) ? (definition[name] as string[]) : []);
  const known = ["new", "approved", "assigned", "accepted", "arrived", "done", "closed", "*"];
  return (
    <div className="row" style={{ alignItems: "flex-start" }}>
      <TagsInput label={t("rules.leaving")} data={known} value={states("leaving")} onChange={(value) => set("leaving", value)} />
      <TagsInput label={t("rules.entering")} data={known} value={states("entering")} onChange={(value) => set("entering", value)} />
      <TextInput label={t("rules.role")} value={approval.role ?? "manager"} onChange={(event) => set("approval", { ...approval, role: event.currentTarget.value })} />
      <TextInput label={t("rules.amount")} value={approval.amount ?? ""} onChange={(event) => set("approval", { ...approval, amount: event.currentTarget.value || undefined })} />
    </div>
  );
}

function Help({ words }: { words: RuleWords }) {
  const { t } = useSpeech();
  return (
    <details className="small">
      <summary>{t("rules.help")}</summary>
      <dl>
        {Object.entries(words.parts).map(([name, members]) => (
          <div key={name}><dt><code>{name}</code></dt><dd style={{ overflowWrap: "anywhere" }}>{members.length ? members.map((one) => `${name}.${one}`).join("  ") : t("rules.ownFields")}</dd></div>
        ))}
        <dt>{t("rules.functions")}</dt>
        {Object.entries(words.functions).map(([name, example]) => <dd key={name}><code>{example}</code></dd>)}
      </dl>
    </details>
  );
}

function TrialPanel({ trial, run, disabled, busy }: { trial: Trial | null; run: (days: number) => Promise<void>; disabled: boolean; busy: boolean }) {
  const speech = useSpeech();
  const { t } = speech;
  const [days, setDays] = useState<number | string>(90);
  return (
    <section className="panel stack">
      <h2>{t("rules.trial")}</h2>
      <p className="soft">{t("rules.trialLead")}</p>
      <div className="row" style={{ alignItems: "flex-end" }}>
        <NumberInput label={t("rules.days")} min={1} max={366} value={days} onChange={setDays} w={120} />
        <Button variant="default" disabled={disabled} loading={busy} onClick={() => void run(Number(days) || 90)}>{t("rules.try")}</Button>
      </div>
      {trial && (
        <div className="stack" role="status">
          <p>
            <strong>{t("rules.found", { n: number(trial.matched, speech), tickets: number(trial.tickets, speech), asked: number(trial.asked, speech), days: trial.days })}</strong>
            {trial.refused > 0 && <> {t("rules.held", { n: number(trial.refused, speech) })}</>}
            {trial.errors > 0 && <> <ToneMark tone="watch">{t("rules.failures", { n: number(trial.errors, speech) })}</ToneMark></>}
            {!trial.complete && <> <ToneMark tone="stale">{t("rules.cut")}</ToneMark></>}
          </p>
          <Days perDay={trial.per_day} />
          <ul>
            {[...trial.failures.slice(0, 3), ...trial.examples].map((one) => (
              <li key={`${one.ticket_id} ${one.seq} ${one.sentence}`}>
                <a href={`#/orders/${one.ticket_id}`}>{one.ref}</a> {one.title} <span className="soft small">{one.event} · <Age at={one.at} /></span>
                {one.sentence && <> <ToneMark tone="watch">{one.sentence}</ToneMark></>}
              </li>
            ))}
          </ul>
        </div>
      )}
    </section>
  );
}

function Days({ perDay }: { perDay: Record<string, number> }) {
  const { t } = useSpeech();
  const days = Object.entries(perDay);
  if (days.length === 0) return null;
  const most = Math.max(...days.map(([, count]) => count));
  const first = days[0]?.[0] ?? "";
  const last = days[days.length - 1]?.[0] ?? "";
  return (
    <div role="img" aria-label={t("rules.perDay", { first, last, most })}>
      <div style={{ display: "flex", alignItems: "flex-end", gap: 2, height: 60 }}>
        {days.map(([day, count]) => <i key={day} title={`${day}: ${count}`} style={{ flex: 1, maxWidth: 14, height: `${(count / most) * 100}%`, background: "var(--mark)" }} />)}
      </div>
      <span className="small soft">{t("rules.perDay", { first, last, most })}</span>
    </div>
  );
}
