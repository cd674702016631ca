// Maintenance policies: who opens orders, what things cost, how long to wait; tried on recorded alarms before they apply.
import { useState } from "react";
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { call } from "../api/client";
import { plantNow } from "../api/clock";
import {
  refreshPolicies, usePolicies, usePolicySettings, usePolicyVersions, type MaintenancePolicy, type PolicyPreview, type PolicySetting,
} from "../api/review";
import type { Me } from "../api/types";
import { useSpeech } from "../i18n";
import { moment } from "../i18n/format";
import { Age } from "../parts/marks";
import { Head, linesOf, Refused, Scroll, useJob } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";

type Draft = { policy: MaintenancePolicy | null; asset_class: string; mode: string; values: Record<string, string> };

export default function PoliciesPage({ me }: { me: Me }) {
  const { t } = useSpeech();
  const policies = usePolicies();
  const settings = usePolicySettings();
  const [edited, setEdited] = useState<MaintenancePolicy | "new" | null>(null);
  const may = me.role === "manager" || me.role === "admin";
  return (
    <>
      <Head title={t("mp.title")} lead={t("mp.lead")} back={t("setting.title")} backTo="#/settings">
        {may && edited === null && <Button onClick={() => setEdited("new")}>{t("mp.new")}</Button>}
      </Head>
      <Await query={settings}>
        {(known) => (
          <div className="stack">
            {edited !== null && <Editor key={edited === "new" ? 0 : edited.policy_id} policy={edited === "new" ? null : edited} known={known} close={() => setEdited(null)} />}
            <Await query={policies}>{(items) => <Kept items={items} may={may} edit={setEdited} />}</Await>
          </div>
        )}
      </Await>
    </>
  );
}

function Kept({ items, may, edit }: { items: MaintenancePolicy[]; may: boolean; edit: (one: MaintenancePolicy) => void }) {
  const { t } = useSpeech();
  if (items.length === 0) return <div className="panel"><Empty title={t("mp.empty")} hint={t("mp.emptyHint")} /></div>;
  return <>{items.map((one) => <One key={one.policy_id} one={one} may={may} edit={edit} />)}</>;
}

function One({ one, may, edit }: { one: MaintenancePolicy; may: boolean; edit: (one: MaintenancePolicy) => void }) {
  const speech = useSpeech();
  const { t } = speech;
  const job = useJob();
  const [history, setHistory] = useState(false);
  const name = scopeName(one, t("mp.every"));
  const retire = () => job.run(async () => {
    await call(`/maintenance/policies/${one.policy_id}`, { method: "DELETE", version: one.version });
    await refreshPolicies();
    toast(t("mp.retired", { name }));
  });
  return (
    <section className="panel stack" aria-label={name}>
      <div className="row between">
        <h2 style={{ margin: 0 }}>{name} {!one.active && <span className="chip">{t("mp.off")}</span>}</h2>
        <span className="small soft">{t("mp.version", { n: one.version })} · {one.changed_by} <Age at={one.changed_at} /></span>
      </div>
      <Settings values={one.settings} />
      <Refused problem={job.problem} />
      <div className="row">
        {may && <Button variant="default" aria-label={`${t("setting.change")}: ${name}`} onClick={() => edit(one)}>{t("setting.change")}</Button>}
        {may && one.active && <Button variant="default" loading={job.busy} aria-label={`${t("mp.retire")}: ${name}`} onClick={() => void retire()}>{t("mp.retire")}</Button>}
        <Button variant="default" aria-expanded={history} aria-label={`${t("mp.history")}: ${name}`} onClick={() => setHistory(!history)}>{t("mp.history")}</Button>
      </div>
      {history && <History one={one} />}
    </section>
  );
}

function Settings({ values }: { values: Record<string, unknown> }) {
  const speech = useSpeech();
  const lines = Object.entries(linesOf(values, speech));
  if (lines.length === 0) return <p className="soft" style={{ margin: 0 }}>{speech.t("mp.same")}</p>;
  return <ul className="stack tight" style={{ margin: 0 }}>{lines.map(([name, value]) => <li key={name}>{name}: <b>{value || "–"}</b></li>)}</ul>;
}

function History({ one }: { one: MaintenancePolicy }) {
  const { t } = useSpeech();
  const versions = usePolicyVersions(one.policy_id);
  return (
    <Await query={versions}>
      {(items) => (
        <ol className="stack tight" reversed>
          {items.map((each) => <li key={each.version} value={each.version}>{each.changed_by} <Age at={each.changed_at} /> {!each.active && t("mp.off")} <Settings values={each.settings} /></li>)}
        </ol>
      )}
    </Await>
  );
}

function Editor({ policy, known, close }: { policy: MaintenancePolicy | null; known: PolicySetting[]; close: () => void }) {
  const { t, code } = useSpeech();
  const job = useJob();
  const [draft, setDraft] = useState<Draft>(() => begin(policy));
  const [preview, setPreview] = useState<PolicyPreview | null>(null);
  const set = (name: string, value: string) => {
    setPreview(null);
    setDraft({ ...draft, values: { ...draft.values, [name]: value } });
  };
  const body = () => ({
    asset_class: draft.asset_class.trim() || "*", mode: draft.mode.trim() || "*", asset_id: policy?.asset_id ?? null, settings: sent(draft.values, known),
  });
  const look = () => job.run(async () => setPreview(await call<PolicyPreview>("/maintenance/policies/preview", { method: "POST", body: { ...body(), days: 90 } })));
  const save = () => job.run(async () => {
    if (policy) await call(`/maintenance/policies/${policy.policy_id}`, { method: "PUT", version: policy.version, body: { settings: body().settings } });
    else await call("/maintenance/policies", { method: "POST", body: body() });
    await refreshPolicies();
    toast(t("mp.saved"));
    close();
  });
  return (
    <section className="panel stack" aria-label={t("mp.edit")}>
      <h2>{policy ? scopeName(policy, t("mp.every")) : t("mp.new")}</h2>
      {!policy && (
        <div className="row" style={{ alignItems: "flex-end" }}>
          <TextInput label={t("mp.class")} description={t("mp.starHint")} value={draft.asset_class} maxLength={64} onChange={(event) => setDraft({ ...draft, asset_class: event.currentTarget.value })} />
          <TextInput label={t("mp.mode")} description={t("mp.starHint")} value={draft.mode} maxLength={128} onChange={(event) => setDraft({ ...draft, mode: event.currentTarget.value })} />
        </div>
      )}
      <p className="soft" style={{ margin: 0 }}>{t("mp.blank")}</p>
      <div style={{ display: "grid", gap: 12, gridTemplateColumns: "repeat(auto-fill, minmax(230px, 1fr))", alignItems: "end" }}>
        {known.map((one) => one.unit === "choice" ? (
          <NativeSelect key={one.name} label={code("settingName", one.name)} value={draft.values[one.name] ?? ""} data={[{ value: "", label: t("mp.shipped", { value: code("mpOpening", String(one.shipped)) }) }, ...["automatic", "review"].map((value) => ({ value, label: code("mpOpening", value) }))]} onChange={(event) => set(one.name, event.currentTarget.value)} />
        ) : (
          <TextInput key={one.name} label={`${code("settingName", one.name)}${unitOf(one.unit, code)}`} placeholder={shown(one.shipped)} value={draft.values[one.name] ?? ""} maxLength={40} onChange={(event) => set(one.name, event.currentTarget.value)} />
        ))}
      </div>
      <Refused problem={job.problem} />
      {preview && <Preview found={preview} />}
      <div className="row">
        <Button variant="default" loading={job.busy} onClick={() => void look()}>{t("mp.preview")}</Button>
        <Button loading={job.busy} disabled={preview === null} onClick={() => void save()}>{t("app.save")}</Button>
        <Button variant="default" onClick={close}>{t("app.cancel")}</Button>
        {preview === null && <span className="small soft">{t("mp.previewFirst")}</span>}
      </div>
    </section>
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

function begin(policy: MaintenancePolicy | null): Draft {
  const values = Object.fromEntries(Object.entries(policy?.settings ?? {}).map(([name, value]) => [name, shown(value)]));
  return { policy, asset_class: policy?.asset_class ?? "", mode: policy?.mode ?? "", values };
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

function shown(value: unknown): string {
  if (value === null || value === undefined) return "";
  return Array.isArray(value) ? value.join(", ") : String(value);
}

function unitOf(unit: string, code: (family: string, value: string) => string): string {
  return unit === "count" || unit === "prior" ? "" : ` (${code("mpUnit", unit.replace("/", "_"))})`;
}

function scopeName(one: MaintenancePolicy, every: string): string {
  const parts = [one.asset_class === "*" ? every : one.asset_class, one.mode === "*" ? "" : one.mode, one.asset_id === null ? "" : `#${one.asset_id}`];
  return parts.filter(Boolean).join(" · ");
}
