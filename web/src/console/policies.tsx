// Maintenance policies: who opens orders, what things cost, how long to wait; tried on recorded alarms before they apply.
import { useState } from "react";
import { Button } from "@mantine/core";
import { call } from "../api/client";
import { useAsset, useAssets } from "../api/queries";
import { refreshPolicies, useInForce, usePolicies, usePolicySettings, usePolicyVersions, type MaintenancePolicy, type PolicySetting } from "../api/review";
import type { Me } from "../api/types";
import { useSpeech } from "../i18n";
import { Age } from "../parts/marks";
import { Head, linesOf, Refused, useJob } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";
import { Editor, said, unitOf } from "./policy_editor";

/** `#/settings/policies/asset/7` speaks of one machine: what holds there, and where it differs. */
export default function PoliciesPage({ path, me }: { path: string[]; me: Me }) {
  const { t } = useSpeech();
  const policies = usePolicies();
  const settings = usePolicySettings();
  const assets = useAssets();
  const assetId = path[0] === "asset" ? Number(path[1]) || null : null;
  const [edited, setEdited] = useState<number | null>(null); // 0: a new one
  const may = me.role === "manager" || me.role === "admin";
  const codes = new Map((assets.data ?? []).map((one) => [one.asset_id, one.code]));
  const machine = assetId === null ? null : codes.get(assetId) ?? `#${assetId}`;
  return (
    <>
      <Head title={machine === null ? t("mp.title") : t("mp.ofAsset", { asset: machine })} lead={t("mp.lead")} back={machine === null ? t("setting.title") : t("mp.title")} backTo={machine === null ? "#/settings" : "#/settings/policies"}>
        {may && edited === null && <Button onClick={() => setEdited(0)}>{t("mp.new")}</Button>}
      </Head>
      <Await query={settings}>
        {(known) => (
          <Await query={policies}>
            {(items) => {
              const shown = assetId === null ? items : items.filter((one) => one.asset_id === assetId);
              const names = (one: MaintenancePolicy) => scopeName(one, t("mp.every"), codes);
              return (
                <div className="stack">
                  {edited !== null && <Editor key={edited} policy={items.find((one) => one.policy_id === edited) ?? null} assetId={assetId} known={known} names={names} all={items} edit={setEdited} />}
                  {assetId !== null && <Holds assetId={assetId} known={known} items={items} names={names} />}
                  {shown.length === 0 && <div className="panel"><Empty title={t(machine === null ? "mp.empty" : "mp.sameAsAbove")} hint={t(machine === null ? "mp.emptyHint" : "mp.sameAsAboveHint")} /></div>}
                  {shown.map((one) => <One key={one.policy_id} one={one} name={names(one)} may={may} edit={() => setEdited(one.policy_id)} />)}
                </div>
              );
            }}
          </Await>
        )}
      </Await>
    </>
  );
}

/** Every setting as it holds for a machine, whatever the failure mode, and the policies that it was made of. */
function Holds({ assetId, known, items, names }: { assetId: number; known: PolicySetting[]; items: MaintenancePolicy[]; names: (one: MaintenancePolicy) => string }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const asset = useAsset(assetId);
  const found = useInForce(asset.data ? { asset_class: asset.data.asset_class || "*", mode: "*", asset_id: assetId } : null);
  return (
    <details className="panel fold">
      <summary className="tall-link" style={{ padding: 0 }}>{t("mp.holds")}</summary>
      <Await query={found}>
        {(inForce) => (
          <div className="stack tight">
            <p className="soft">{t("mp.madeOf", { from: [t("mp.asShipped"), ...inForce.made_of.map((used) => { const one = items.find((each) => each.policy_id === used.policy_id); return one ? names(one) : `#${used.policy_id}`; })].join(" → ") })}</p>
            <dl className="fields">
              {known.map((one) => <div key={one.name}><dt className="small soft">{code("settingName", one.name)}{unitOf(one.unit, code)}</dt><dd>{said(inForce.settings[one.name], one, speech)}</dd></div>)}
            </dl>
          </div>
        )}
      </Await>
    </details>
  );
}

function One({ one, name, may, edit }: { one: MaintenancePolicy; name: string; may: boolean; edit: () => void }) {
  const speech = useSpeech();
  const { t } = speech;
  const job = useJob();
  const [history, setHistory] = useState(false);
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
        {may && <Button variant="default" aria-label={`${t("setting.change")}: ${name}`} onClick={edit}>{t("setting.change")}</Button>}
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

function scopeName(one: MaintenancePolicy, every: string, codes: Map<number, string>): string {
  const asset = one.asset_id === null ? "" : codes.get(one.asset_id) ?? `#${one.asset_id}`;
  const parts = [one.asset_class === "*" ? (asset ? "" : every) : one.asset_class, one.mode === "*" ? "" : one.mode, asset];
  return parts.filter(Boolean).join(" · ");
}
