// Alarm rules: what stands, what judges, what a rule would have raised; written in a form or as text.
import { useState } from "react";
import { Button, NativeSelect } from "@mantine/core";
import { disableRule, enableRule, lookAt, refreshRules, retireRule, useAlarmRules, type Condition, type KeptRule, type Preview } from "../api/alarm_rules";
import type { StandingWord } from "../api/proof";
import type { Me } from "../api/types";
import { useSpeech, type Speech } from "../i18n";
import { fullMoment, number, signalName } from "../i18n/format";
import { Age, ToneMark } from "../parts/marks";
import { Head, Refused, useJob } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";
import { RuleForm } from "./alarm_rule_form";

const EDITORS = ["planner", "manager", "admin"];
const ENABLERS = ["manager", "admin"];
const DAYS = 30;
const STANDINGS: StandingWord[] = ["live", "review", "shadow"];

export default function AlarmRules({ me }: { me: Me }) {
  const { t } = useSpeech();
  const rules = useAlarmRules();
  const [edited, setEdited] = useState<number | null>(null); // 0: a new one
  const may = EDITORS.includes(me.role);
  return (
    <>
      <Head title={t("ar.title")} lead={t("ar.lead")} back={t("detector.title")} backTo="#/detectors" />
      <div className="stack">
        <Await query={rules}>
          {(items) => (
            <>
              {may && edited === null && <div><Button onClick={() => setEdited(0)}>{t("ar.new")}</Button></div>}
              {edited !== null && <RuleForm key={edited} one={items.find((one) => one.rule_id === edited) ?? null} close={() => setEdited(null)} />}
              {items.length === 0 && edited === null && <div className="panel"><Empty title={t("ar.none")} hint={t("ar.noneHint")} /></div>}
              {items.filter((one) => one.rule_id !== edited).map((one) => <One key={one.rule_id} one={one} me={me} edit={may ? () => setEdited(one.rule_id) : undefined} />)}
            </>
          )}
        </Await>
      </div>
    </>
  );
}

/** A span of seconds as people say it. */
function wait(seconds: number, speech: Speech): string {
  const { t } = speech;
  if (seconds === 0) return t("ar.atOnce");
  if (seconds < 60) return t("ar.forSeconds", { n: number(seconds, speech) });
  return seconds < 7200 ? t("ar.forMinutes", { n: number(seconds / 60, speech) }) : t("ar.forHours", { n: number(seconds / 3600, speech) });
}

export function said(one: Condition, speech: Speech): string {
  const { t, code } = speech;
  const signal = signalName({ code: one.signal }, speech);
  if (one.kind === "missing") return t("ar.saidMissing", { signal, wait: wait(one.steps[0]?.for_s ?? 0, speech) });
  const limits = one.steps.map((step) => `${number(step.limit, speech)} ${one.unit} ${wait(step.for_s, speech)}`).join(t("ar.or"));
  const over = one.over_s > 0 ? t("ar.within", { n: number(one.over_s / 60, speech) }) : "";
  return `${signal} ${code("arSays", one.kind)} ${limits}${over}`;
}

function One({ one, me, edit }: { one: KeptRule; me: Me; edit?: () => void }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const job = useJob();
  const [standing, setStanding] = useState<StandingWord>("review");
  const { rule } = one;
  const run = (work: () => Promise<unknown>, done: string) => job.run(async () => {
    try {
      await work();
      toast(done);
    } finally {
      await refreshRules();
    }
  });
  const judges = one.in_force !== null;
  const older = judges && one.in_force !== one.revision;
  return (
    <section className="panel stack tight" aria-label={rule.name}>
      <div className="row between"><h2 style={{ margin: 0 }}>{rule.name}</h2><span className="small soft">{one.changed_by} <Age at={one.changed_at} /></span></div>
      <p style={{ margin: 0 }}>
        {judges ? <strong>{t(older ? "ar.olderJudges" : "ar.judges", { when: fullMoment(one.from_at ?? "", speech), who: one.enabled_by ?? "" })}</strong> : <span className="soft">{t("ar.judgesNot")}</span>}
      </p>
      <dl className="facts">
        <dt>{t("ar.of")}</dt><dd>{rule.asset || (rule.asset_class ? code("class", rule.asset_class) : t("mt.everyAsset"))}</dd>
        <dt>{t("ar.when")}</dt><dd>{rule.any.map((group) => group.all.map((each) => said(each, speech)).join(t("ar.and"))).map((text, i) => <div key={i}>{i > 0 && <em>{t("ar.orElse")} </em>}{text}</div>)}</dd>
        <dt>{t("ar.raises")}</dt><dd>{code("arAbout", rule.about)} · {code("severity", rule.severity)}{rule.while_running ? ` · ${t("ar.running")}` : ""}</dd>
        {rule.advice && <><dt>{t("ar.advice")}</dt><dd>{rule.advice}</dd></>}
      </dl>
      {one.preview ? <Looked found={one.preview} /> : <p className="soft" style={{ margin: 0 }}>{t("ar.notPreviewed")}</p>}
      <Refused problem={job.problem} />
      <div className="row wrap">
        {edit && <Button variant="default" aria-label={`${t("setting.change")}: ${rule.name}`} onClick={edit}>{t("setting.change")}</Button>}
        {edit && <Button variant="default" loading={job.busy} aria-label={`${t("ar.preview")}: ${rule.name}`} onClick={() => void run(() => lookAt(one, DAYS), t("ar.previewed"))}>{t("ar.preview")}</Button>}
        {ENABLERS.includes(me.role) && judges && <Button variant="default" loading={job.busy} aria-label={`${t("ar.disable")}: ${rule.name}`} onClick={() => void run(() => disableRule(one), t("ar.disabled"))}>{t("ar.disable")}</Button>}
        {ENABLERS.includes(me.role) && !judges && <Button variant="default" loading={job.busy} aria-label={`${t("mp.retire")}: ${rule.name}`} onClick={() => void run(() => retireRule(one), t("ar.retired"))}>{t("mp.retire")}</Button>}
      </div>
      {ENABLERS.includes(me.role) && one.previewed && one.in_force !== one.revision && (
        <div className="row wrap" style={{ alignItems: "flex-end" }}>
          <NativeSelect label={t("ar.may")} description={code("standingMeans", standing)} value={standing} data={STANDINGS.map((value) => ({ value, label: code("standing", value) }))} onChange={(event) => setStanding(event.currentTarget.value as StandingWord)} />
          <Button loading={job.busy} aria-label={`${t("ar.enable")}: ${rule.name}`} onClick={() => void run(() => enableRule(one, standing), t("ar.enabled"))}>{t("ar.enable")}</Button>
        </div>
      )}
    </section>
  );
}

/** What it would have raised, and on how much of the history that was looked at. */
export function Looked({ found }: { found: Preview }) {
  const speech = useSpeech();
  const { t } = speech;
  const part = found.looked_at < found.machines || found.days < found.asked_days;
  return (
    <div className="stack tight" role="status">
      <strong>{found.raised > 0 ? <ToneMark tone="watch">{t("ar.would", { n: number(found.raised, speech), days: number(found.days, speech), machines: number(found.looked_at, speech) })}</ToneMark> : t("ar.wouldNot", { days: number(found.days, speech), machines: number(found.looked_at, speech) })}</strong>
      {part && <span className="small">{t("ar.part", { days: number(found.asked_days, speech), machines: number(found.machines, speech) })}</span>}
      {found.lacking.length > 0 && <span className="small">{t("ar.lacking", { n: number(found.lacking.length, speech), codes: found.lacking.slice(0, 8).join(", ") })}</span>}
      {found.episodes.length > 0 && (
        <details>
          <summary>{t("ar.newest")}</summary>
          <ul className="stack tight">
            {found.episodes.map((one) => <li key={`${one.asset_id} ${one.since}`}><a href={`#/assets/${one.asset_id}`}>{one.asset_code}</a> {fullMoment(one.since, speech)} – {one.until ? fullMoment(one.until, speech) : t("ar.still")}</li>)}
          </ul>
        </details>
      )}
    </div>
  );
}
