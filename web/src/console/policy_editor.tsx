// One policy: for a class, a failure mode or a machine; tried on recorded alarms, then kept on stated grounds.
import { useState } from "react";
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { call, Problem } from "../api/client";
import { plantNow } from "../api/clock";
import { useAsset } from "../api/queries";
import { refreshPolicies, useInForce, type MaintenancePolicy, type PolicyPreview, type PolicySetting } from "../api/review";
import { useSpeech, type Speech } from "../i18n";
import { moment, number } from "../i18n/format";
import { AssetSelect } from "../parts/asset_select";
import { useDraft } from "../parts/draft";
import { linesOf, Overtaken, Refused, Scroll, useJob } from "../parts/setting";
import { toast } from "../parts/toasts";
import { ModeSelect } from "./alarm_suppress";
import { areGiven, GroundsChoice, sentGrounds, type Grounds } from "./grounds";

type Draft = { asset_class: string; mode: string; asset: string; values: Record<string, string> };
type Props = {
  policy: MaintenancePolicy | null; assetId: number | null; known: PolicySetting[]; all: MaintenancePolicy[];
  names: (one: MaintenancePolicy) => string; edit: (id: number | null) => void;
};
const NO_GROUNDS: Grounds = { grounds: "backtest", backtest_id: null, reason: "" };

export function Editor({ policy, assetId, known, all, names, edit }: Props) {
  const speech = useSpeech();
  const { t } = speech;
  const job = useJob();
  const { draft, set: setDraft, version, theirs, take, keep } = useDraft(policy, begin, () => ({ asset_class: "", mode: "", asset: assetId === null ? "" : String(assetId), values: {} }));
  const [preview, setPreview] = useState<PolicyPreview | null>(null);
  const [grounds, setGrounds] = useState<Grounds | null>(null); // asked for once the API says that it wants them
  const change = (next: Draft) => {
    setDraft(next);
    setPreview(null);
    setGrounds(null);
  };
  const set = (name: string, value: string) => change({ ...draft, values: { ...draft.values, [name]: value } });
  const scope = { asset_class: draft.asset_class.trim() || "*", mode: draft.mode.trim() || "*", asset_id: Number(draft.asset) || null };
  const settings = sent(draft.values, known);
  const same = policy === null ? all.find((one) => one.asset_class === scope.asset_class && one.mode === scope.mode && one.asset_id === scope.asset_id) : undefined;
  const look = () => job.run(async () => setPreview(await call<PolicyPreview>("/maintenance/policies/preview", { method: "POST", body: { ...scope, settings, days: 90 } })));
  const save = () => job.run(async () => {
    const why = grounds ? { ...sentGrounds(grounds), reason: grounds.reason.trim() } : {};
    try {
      if (policy) await call(`/maintenance/policies/${policy.policy_id}`, { method: "PUT", version, body: { settings, ...why } });
      else await call("/maintenance/policies", { method: "POST", body: { ...scope, settings, ...why } });
    } catch (error) {
      if (error instanceof Problem && error.code === "unproven" && grounds === null) setGrounds(NO_GROUNDS);
      await refreshPolicies();
      throw error;
    }
    await refreshPolicies();
    toast(t("mp.saved"));
    edit(null);
  });
  const lines = (values: Record<string, unknown>) => linesOf(values, speech);
  return (
    <section className="panel stack" aria-label={t("mp.edit")}>
      <h2>{policy ? names(policy) : t("mp.new")}</h2>
      {!policy && <Where draft={draft} fixed={assetId !== null} change={change} />}
      {same && <p role="status">▲ {t("mp.sameThere", { name: names(same) })} <button type="button" className="plain" onClick={() => edit(same.policy_id)}>{t("ad.openThat")}</button></p>}
      <p className="soft" style={{ margin: 0 }}>{t("mp.blank")}</p>
      <Values draft={draft} policy={policy} known={known} set={set} />
      {grounds && <GroundsChoice kinds={["backtest", "override"]} asksReason config={{ ...scope, settings, gate_id: null }} value={grounds} change={setGrounds} />}
      {theirs
        ? <Overtaken by={theirs.changed_by} mine={lines(settings)} theirs={lines(theirs.settings)} take={() => { take(); setPreview(null); job.clear(); }} keep={() => { keep(); job.clear(); }} />
        : <Refused problem={job.problem} />}
      {preview && <Preview found={preview} />}
      <div className="row">
        <Button variant="default" loading={job.busy} onClick={() => void look()}>{t("mp.preview")}</Button>
        <Button loading={job.busy} disabled={preview === null || same !== undefined || (grounds !== null && !areGiven(grounds))} onClick={() => void save()}>{t("app.save")}</Button>
        <Button variant="default" onClick={() => edit(null)}>{t("app.cancel")}</Button>
        {preview === null && <span className="small soft">{t("mp.previewFirst")}</span>}
      </div>
    </section>
  );
}

/** A machine's policy holds whatever its class: only the failure mode is chosen beside it. */
function Where({ draft, fixed, change }: { draft: Draft; fixed: boolean; change: (next: Draft) => void }) {
  const { t } = useSpeech();
  const asset = useAsset(Number(draft.asset) || null);
  return (
    <div className="row" style={{ alignItems: "flex-start" }}>
      {!fixed && <AssetSelect label={t("mp.machine")} hint={t("mp.machineHint")} blank={t("mt.everyAsset")} value={draft.asset} change={(id) => change({ ...draft, asset: id, asset_class: "", mode: "" })} />}
      {draft.asset
        ? <ModeSelect assetClass={asset.data?.asset_class || null} value={draft.mode} change={(mode) => change({ ...draft, mode })} />
        : (
          <>
            <TextInput label={t("mp.class")} description={t("mp.starHint")} value={draft.asset_class} maxLength={64} onChange={(event) => change({ ...draft, asset_class: event.currentTarget.value })} />
            <TextInput label={t("mp.mode")} description={t("mp.starHint")} value={draft.mode} maxLength={128} onChange={(event) => change({ ...draft, mode: event.currentTarget.value })} />
          </>
        )}
    </div>
  );
}

function Values({ draft, policy, known, set }: { draft: Draft; policy: MaintenancePolicy | null; known: PolicySetting[]; set: (name: string, value: string) => void }) {
  const { t, code } = useSpeech();
  const asset = useAsset(Number(draft.asset) || null);
  const inForce = useInForce({ asset_class: asset.data?.asset_class || draft.asset_class.trim() || "*", mode: draft.mode.trim() || "*", asset_id: Number(draft.asset) || null });
  const above = (one: PolicySetting) => (one.name in (policy?.settings ?? {}) ? one.shipped : inForce.data?.settings[one.name] ?? one.shipped);
  return (
    <div className="fields">
      {known.map((one) => one.unit === "choice" ? (
        <NativeSelect key={one.name} label={code("settingName", one.name)} value={draft.values[one.name] ?? ""} data={[{ value: "", label: t("mp.asAbove", { value: code("mpOpening", String(above(one))) }) }, ...["automatic", "review"].map((value) => ({ value, label: code("mpOpening", value) }))]} onChange={(event) => set(one.name, event.currentTarget.value)} />
      ) : (
        <TextInput key={one.name} label={`${code("settingName", one.name)}${unitOf(one.unit, code)}`} placeholder={shown(above(one))} value={draft.values[one.name] ?? ""} maxLength={40} onChange={(event) => set(one.name, event.currentTarget.value)} />
      ))}
    </div>
  );
}

function Preview({ found }: { found: PolicyPreview }) {
  const speech = useSpeech();
  const { t, say } = speech;
  const at = (when: string | null) => (when === null ? t("mp.never") : moment(when, plantNow(), speech));
  return (
    <div className="stack tight" role="status">
      <strong>{t("mp.found", { days: found.days, alarms: found.alarms, now: found.opens_now, would: found.would_open })}</strong>
      <span>{t("mp.moved", { earlier: found.earlier, later: found.later })}</span>
      {found.different.length > 0 && (
        <Scroll label={t("mp.preview")}>
          <table className="list">
            <thead><tr><th scope="col">{t("prediction.what")}</th><th scope="col">{t("mp.opensNow")}</th><th scope="col">{t("mp.wouldOpen")}</th></tr></thead>
            <tbody>{found.different.map((one) => <tr key={one.alarm_id}><th scope="row">{one.asset_code} {say(one.mode.name)}</th><td>{at(one.opened_at)}</td><td>{at(one.would_open_at)}</td></tr>)}</tbody>
          </table>
        </Scroll>
      )}
    </div>
  );
}

function begin(policy: MaintenancePolicy): Draft {
  const values = Object.fromEntries(Object.entries(policy.settings).map(([name, value]) => [name, shown(value)]));
  return { asset_class: policy.asset_class, mode: policy.mode, asset: policy.asset_id === null ? "" : String(policy.asset_id), values };
}

/** Blank fields stay with what holds above; a number that is none is sent as it was typed and refused in words. */
function sent(values: Record<string, string>, known: PolicySetting[]): Record<string, unknown> {
  const named = known.filter((one) => (values[one.name] ?? "").trim() !== "");
  return Object.fromEntries(named.map((one) => [one.name, plain(values[one.name]!.trim(), one.unit)]));
}

function plain(text: string, unit: string): unknown {
  if (unit === "choice") return text;
  if (unit === "prior") return text.split(/[\s,，]+/).map(Number);
  const value = Number(text);
  return Number.isFinite(value) ? value : text;
}

export function shown(value: unknown): string {
  if (value === null || value === undefined) return "";
  return Array.isArray(value) ? value.join(", ") : String(value);
}

export function unitOf(unit: string, code: (family: string, value: string) => string): string {
  return ["count", "prior", "choice"].includes(unit) ? "" : ` (${code("mpUnit", unit.replace("/", "_"))})`;
}

/** A setting's value as people read it. */
export function said(value: unknown, one: PolicySetting, speech: Speech): string {
  if (one.unit === "choice") return speech.code("mpOpening", String(value));
  return typeof value === "number" ? number(value, speech) : shown(value) || "–";
}
