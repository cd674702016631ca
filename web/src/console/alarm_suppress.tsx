// Suppression by design, and alarms out of service: what they hold is kept and listed, never dropped.
import { useState } from "react";
import { Button, Checkbox, NativeSelect, TextInput } from "@mantine/core";
import { refreshAlarms, useSuppressions, type SuppressBody, type Suppression, type Whose } from "../api/alarm_design";
import { call } from "../api/client";
import { useFailureCodes } from "../api/queries";
import { useSpeech, type Speech } from "../i18n";
import { modeName } from "../i18n/format";
import { AssetSelect, useClasses } from "../parts/asset_select";
import { useDraft } from "../parts/draft";
import { Age } from "../parts/marks";
import { listed, Overtaken, Refused, useJob, type Lines } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";
import { OutOfService } from "./alarm_out";

const WHOSE: Whose[] = ["own", "parent", "feeder"];
const NEW: SuppressBody = { name: "", asset_class: "", asset_id: null, mode: "", whose: "parent", states: [0], enabled: true };

export function Suppress({ may }: { may: boolean }) {
  const { t } = useSpeech();
  const rules = useSuppressions();
  const [edited, setEdited] = useState<number | null>(null); // 0: a new one
  return (
    <div className="stack">
      <p className="soft">{t("ad.suppressLead")}</p>
      <Await query={rules}>
        {(items) => (
          <>
            {may && edited === null && <div><Button onClick={() => setEdited(0)}>{t("ad.newRule")}</Button></div>}
            {edited !== null && <Form key={edited} one={items.find((one) => one.rule_id === edited) ?? null} close={() => setEdited(null)} />}
            {items.length === 0 && <div className="panel"><Empty title={t("ad.noRules")} hint={t("ad.noRulesHint")} /></div>}
            {items.map((one) => <One key={one.rule_id} one={one} may={may} edit={() => setEdited(one.rule_id)} />)}
          </>
        )}
      </Await>
      <OutOfService may={may} />
    </div>
  );
}

export function ModeSelect({ assetClass, value, change }: { assetClass: string | null; value: string; change: (mode: string) => void }) {
  const { t, say } = useSpeech();
  const modes = useFailureCodes(assetClass);
  const known = (modes.data ?? []).map((one) => ({ value: one.code, label: say(one.name) }));
  const own = value && !known.some((one) => one.value === value) ? [{ value, label: value }] : [];
  return <NativeSelect label={t("mp.mode")} value={value} data={[{ value: "", label: t("ad.everyMode") }, ...own, ...known]} onChange={(event) => change(event.currentTarget.value)} />;
}

function words(one: SuppressBody, asset: string, speech: Speech): Lines {
  const { t, code } = speech;
  return {
    [t("ad.ruleName")]: one.name,
    [t("ad.whichAlarms")]: [asset || t("mt.everyAsset"), one.asset_class ? code("class", one.asset_class) : t("ad.everyClass"), one.mode ? modeName(one.mode, speech) : t("ad.everyMode")].join(" · "),
    [t("ad.while")]: t("ad.whileIn", { whose: code("whose", one.whose), states: one.states.join(", ") }),
    [t("ad.inForce")]: t(one.enabled ? "ad.on" : "ad.off"),
  };
}

function One({ one, may, edit }: { one: Suppression; may: boolean; edit: () => void }) {
  const speech = useSpeech();
  const { t } = speech;
  const job = useJob();
  const retire = () => job.run(async () => {
    try {
      await call(`/suppression-rules/${one.rule_id}`, { method: "DELETE" });
      toast(t("ad.ruleGone", { name: one.name }));
    } finally {
      await refreshAlarms();
    }
  });
  const { [t("ad.ruleName")]: _, ...lines } = words(one, one.asset_code ?? "", speech);
  return (
    <section className="panel stack tight" aria-label={one.name}>
      <div className="row between"><h2 style={{ margin: 0 }}>{one.name}</h2><span className="small soft">{one.made_by} <Age at={one.made_at} /></span></div>
      <dl className="facts">
        {Object.entries(lines).map(([label, value]) => [<dt key={label}>{label}</dt>, <dd key={`${label} is`}>{value}</dd>])}
        <dt>{t("ad.holds")}</dt><dd>{t("ad.holdsNow", { now: one.now, ever: one.ever })}</dd>
      </dl>
      <Refused problem={job.problem} />
      {may && (
        <div className="row">
          <Button size="xs" variant="default" aria-label={`${t("setting.change")}: ${one.name}`} onClick={edit}>{t("setting.change")}</Button>
          <Button size="xs" variant="default" loading={job.busy} aria-label={`${t("mp.retire")}: ${one.name}`} onClick={() => void retire()}>{t("mp.retire")}</Button>
        </div>
      )}
    </section>
  );
}

function body({ name, asset_class, asset_id, mode, whose, states, enabled }: SuppressBody): SuppressBody {
  return { name, asset_class, asset_id, mode, whose, states, enabled };
}

function Form({ one, close }: { one: Suppression | null; close: () => void }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const job = useJob();
  const classes = useClasses();
  const { draft, set, version, theirs, take, keep } = useDraft(one && { ...one, changed_by: one.made_by }, body, () => NEW);
  const [states, setStates] = useState(draft.states.join(", "));
  const change = (more: Partial<SuppressBody>) => set({ ...draft, ...more });
  const save = () => job.run(async () => {
    try {
      const path = one ? `/suppression-rules/${one.rule_id}` : "/suppression-rules";
      await call(path, { method: one ? "PUT" : "POST", version: one ? version : undefined, body: draft });
      toast(t("ad.ruleSaved"));
      close();
    } finally {
      await refreshAlarms();
    }
  });
  const settle = (way: () => void) => {
    way();
    if (theirs && way === take) setStates(theirs.states.join(", "));
    job.clear();
  };
  return (
    <form className="panel stack" aria-label={t("ad.rule")} onSubmit={(event) => { event.preventDefault(); void save(); }}>
      <h2>{one ? one.name : t("ad.newRule")}</h2>
      <div className="row wrap" style={{ alignItems: "flex-start" }}>
        <TextInput label={t("ad.ruleName")} withAsterisk maxLength={200} value={draft.name} onChange={(event) => change({ name: event.currentTarget.value })} />
        <AssetSelect label={t("alarms.machine")} hint={t("ad.andBelow")} blank={t("mt.everyAsset")} value={draft.asset_id === null ? "" : String(draft.asset_id)} change={(id) => change({ asset_id: id ? Number(id) : null })} />
        <NativeSelect label={t("mp.class")} value={draft.asset_class} data={[{ value: "", label: t("ad.everyClass") }, ...[...new Set([...classes, draft.asset_class])].filter(Boolean).map((value) => ({ value, label: code("class", value) }))]} onChange={(event) => change({ asset_class: event.currentTarget.value })} />
        <ModeSelect assetClass={draft.asset_class || null} value={draft.mode} change={(mode) => change({ mode })} />
      </div>
      <div className="row wrap" style={{ alignItems: "flex-start" }}>
        <NativeSelect label={t("ad.while")} value={draft.whose} data={WHOSE.map((value) => ({ value, label: code("whose", value) }))} onChange={(event) => change({ whose: event.currentTarget.value as Whose })} />
        <TextInput label={t("ad.states")} description={t("ad.statesHint")} withAsterisk inputMode="numeric" value={states} onChange={(event) => { setStates(event.currentTarget.value); change({ states: listed(event.currentTarget.value).map(Number).filter(Number.isInteger) }); }} />
      </div>
      <Checkbox label={t("ad.inForce")} checked={draft.enabled} onChange={(event) => change({ enabled: event.currentTarget.checked })} />
      {theirs
        ? <Overtaken by={theirs.changed_by} mine={words(draft, String(draft.asset_id ?? ""), speech)} theirs={words(theirs, String(theirs.asset_id ?? ""), speech)} take={() => settle(take)} keep={() => settle(keep)} />
        : <Refused problem={job.problem} />}
      <div className="row">
        <Button type="submit" loading={job.busy} disabled={!draft.name.trim() || draft.states.length === 0}>{t("app.save")}</Button>
        <Button variant="default" onClick={close}>{t("app.cancel")}</Button>
      </div>
    </form>
  );
}
