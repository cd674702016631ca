// Rules: what runs by itself, what it did, and what a new one would have done.
import { Button } from "@mantine/core";
import { useRuns, useRules, type Rule, type RuleStatus } from "../api/rules";
import type { Me } from "../api/types";
import { useSpeech, type Key } from "../i18n";
import { number } from "../i18n/format";
import { Age, ToneMark } from "../parts/marks";
import { Await, Empty } from "../parts/states";
import { ROW } from "./list_keys";
import RuleEditor from "./rule_editor";

const BAD = new Set(["error", "failed", "endless"]);

export default function Rules({ id, me }: { id: string | undefined; me: Me }) {
  const { t } = useSpeech();
  if (id) return <RuleEditor key={id} ruleId={id === "new" || id === "new-guard" ? null : Number(id)} form={id === "new-guard" ? "guard" : "rule"} me={me} />;
  return (
    <>
      <div className="page-head">
        <div><h1>{t("rules.title")}</h1><p>{t("rules.lead")}</p></div>
        <div className="row">
          <Button component="a" href="#/rules/new">{t("rules.new")}</Button>
          {me.role !== "planner" && <Button component="a" variant="default" href="#/rules/new-guard">{t("rules.newGuard")}</Button>}
        </div>
      </div>
      <List />
      <h2 style={{ margin: "24px 0 12px" }}>{t("rules.log")}</h2>
      <RunLog ruleId={null} />
    </>
  );
}

function List() {
  const speech = useSpeech();
  const { t, say } = speech;
  const rules = useRules();
  return (
    <Await query={rules}>
      {(items) => items.length === 0 ? (
        <div className="panel"><Empty title={t("rules.empty")} hint={t("rules.emptyHint")} /></div>
      ) : (
        <div className="scroll">
          <table className="list cards middle">
            <thead>
              <tr>
                <th scope="col">{t("rules.name")}</th>
                <th scope="col">{t("rules.state")}</th>
                <th scope="col">{t("rules.if")}</th>
                <th scope="col">{t("rules.tried")}</th>
                <th scope="col">{t("rules.changed")}</th>
              </tr>
            </thead>
            <tbody>
              {items.map((rule) => (
                <tr key={rule.rule_id}>
                  <th scope="row">
                    <a className="title" href={`#/rules/${rule.rule_id}`} {...{ [ROW]: "" }}>{say(rule.name)}</a>
                    <div className="soft small">{rule.form === "guard" ? t("rules.guard") : t("rules.rule")} · {rule.code}</div>
                  </th>
                  <td data-label={t("rules.state")}><StateMark rule={rule} /></td>
                  <td style={{ maxWidth: 420 }} data-label={t("rules.if")}><code className="small" style={{ overflowWrap: "anywhere" }}>{String(rule.definition.if ?? "–")}</code></td>
                  <td data-label={t("rules.tried")}>{rule.rehearsed ? t("rules.triedAs", { n: number(rule.rehearsed.matched, speech), days: rule.rehearsed.days }) : <span className="soft">{t("rules.never")}</span>}</td>
                  <td data-label={t("rules.changed")}><span><span className="small">{rule.changed_by}</span> <Age at={rule.changed_at} /></span></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Await>
  );
}

export function StateMark({ rule }: { rule: Rule }) {
  const { t } = useSpeech();
  const words: Record<RuleStatus, Key> = {
    draft: "rules.draft", enabled: "rules.enabled", disabled: "rules.disabled", stopped: "rules.stopped", retired: "rules.retired",
  };
  if (rule.status === "stopped") return <span title={rule.stopped_why}><ToneMark tone="alarm">{t(words.stopped)}</ToneMark></span>;
  return <span className={rule.status === "enabled" ? "chip accent" : "chip"}>{t(words[rule.status])}</span>;
}

export function RunLog({ ruleId }: { ruleId: number | null }) {
  const { t, code } = useSpeech();
  const runs = useRuns(ruleId);
  return (
    <Await query={runs}>
      {({ items }) => items.length === 0 ? (
        <div className="panel"><Empty title={t("rules.noRuns")} hint={t("rules.noRunsHint")} /></div>
      ) : (
        <div className="scroll">
          <table className="list cards">
            <thead>
              <tr>
                <th scope="col">{t("rules.name")}</th>
                <th scope="col">{t("rules.when")}</th>
                <th scope="col">{t("rules.ticket")}</th>
                <th scope="col">{t("rules.event")}</th>
                <th scope="col">{t("rules.outcome")}</th>
                <th scope="col">{t("rules.what")}</th>
              </tr>
            </thead>
            <tbody>
              {items.map((run) => (
                <tr key={run.run_id}>
                  <th scope="row"><a href={`#/rules/${run.rule_id}`}>{run.code}</a></th>
                  <td data-label={t("rules.when")}><Age at={run.at} /></td>
                  <td data-label={t("rules.ticket")}>{run.ticket_id ? <a href={`#/orders/${run.ticket_id}`}>{run.ref}</a> : "–"}</td>
                  <td data-label={t("rules.event")}>{run.event}</td>
                  <td data-label={t("rules.outcome")}>{BAD.has(run.outcome) ? <ToneMark tone="watch">{code("ruleOutcome", run.outcome)}</ToneMark> : code("ruleOutcome", run.outcome)}</td>
                  <td style={{ maxWidth: 480, overflowWrap: "anywhere" }} data-label={t("rules.what")}>
                    {run.sentence || <span className="small soft">{run.actions.map((one) => String(one.do)).join(", ")}</span>}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Await>
  );
}
