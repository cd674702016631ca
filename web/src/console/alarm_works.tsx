// Lock-outs and start-ups: declared for a machine and all below it; alarms are kept meanwhile, and judged again afterwards.
import { useState } from "react";
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { refreshAlarms, useWorks, type Work } from "../api/alarm_design";
import { call } from "../api/client";
import { useSpeech } from "../i18n";
import { fullMoment } from "../i18n/format";
import { momentAt } from "../i18n/zone";
import { AssetSelect } from "../parts/asset_select";
import { Age } from "../parts/marks";
import { Refused, useJob } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";
import { ROW } from "./list_keys";

const KINDS = ["lockout", "startup"] as const;

export function Works({ assetId, may }: { assetId: number | null; may: boolean }) {
  const { t } = useSpeech();
  const works = useWorks();
  return (
    <div className="stack">
      <p className="soft">{t("ad.worksLead")}</p>
      {may && <Begin key={assetId} assetId={assetId} />}
      <Await query={works}>
        {(items) => items.length === 0 ? <div className="panel"><Empty title={t("ad.noWorks")} hint={t("ad.noWorksHint")} /></div> : <List items={items} may={may} />}
      </Await>
    </div>
  );
}

function List({ items, may }: { items: Work[]; may: boolean }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const job = useJob();
  const end = (one: Work) => job.run(async () => {
    try {
      await call(`/asset-works/${one.work_id}/end`, { method: "POST", body: {} });
      toast(t("ad.ended", { asset: one.asset_code }));
    } finally {
      await refreshAlarms();
    }
  });
  return (
    <>
      <Refused problem={job.problem} />
      <div className="scroll">
        <table className="list cards middle">
          <caption className="hidden">{t("alarmView.works")}</caption>
          <thead>
            <tr>
              <th scope="col">{t("alarms.machine")}</th><th scope="col">{t("pl.kind")}</th><th scope="col">{t("alarms.reason")}</th>
              <th scope="col">{t("ad.by")}</th><th scope="col">{t("alarms.since")}</th><th scope="col">{t("alarms.ended")}</th>
              {may && <th scope="col"><span className="hidden">{t("setting.actions")}</span></th>}
            </tr>
          </thead>
          <tbody>
            {items.map((one) => (
              <tr key={one.work_id}>
                <th scope="row"><a className="title" href={`#/assets/${one.asset_id}`} {...{ [ROW]: "" }}>{one.asset_code}</a></th>
                <td data-label={t("pl.kind")}><span className="chip">{code("alarmHold", one.kind)}</span></td>
                <td data-label={t("alarms.reason")}>{one.reason || "–"}</td>
                <td data-label={t("ad.by")}>{one.by_whom}</td>
                <td data-label={t("alarms.since")}><Age at={one.since} /></td>
                <td data-label={t("alarms.ended")}>{one.until ? fullMoment(one.until, speech) : t("ad.untilEnded")}</td>
                {may && <td><Button size="xs" variant="default" loading={job.busy} aria-label={`${t("ad.end")}: ${one.asset_code} ${code("alarmHold", one.kind)}`} onClick={() => void end(one)}>{t("ad.end")}</Button></td>}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function Begin({ assetId }: { assetId: number | null }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const job = useJob();
  const [asset, setAsset] = useState(assetId === null ? "" : String(assetId));
  const [form, setForm] = useState({ kind: "lockout", reason: "", until: "" });
  const set = (more: Partial<typeof form>) => setForm({ ...form, ...more });
  const begin = () => job.run(async () => {
    const until = form.until ? momentAt(form.until, speech.zone) : null;
    await call("/asset-works", { method: "POST", body: { asset_id: Number(asset), kind: form.kind, reason: form.reason.trim(), until } });
    setForm({ kind: form.kind, reason: "", until: "" });
    toast(t("ad.begun"));
    await refreshAlarms();
  });
  return (
    <form className="panel stack" aria-label={t("ad.declare")} onSubmit={(event) => { event.preventDefault(); void begin(); }}>
      <h2>{t("ad.declare")}</h2>
      <div className="row wrap" style={{ alignItems: "flex-start" }}>
        <AssetSelect label={t("alarms.machine")} hint={t("ad.andBelow")} required value={asset} change={setAsset} />
        <NativeSelect label={t("pl.kind")} description={code("workMeans", form.kind)} value={form.kind} data={KINDS.map((value) => ({ value, label: code("alarmHold", value) }))} onChange={(event) => set({ kind: event.currentTarget.value })} />
        <TextInput label={t("alarms.reason")} description={t("ad.reasonHint")} maxLength={1000} value={form.reason} onChange={(event) => set({ reason: event.currentTarget.value })} />
        <TextInput type="datetime-local" label={t("alarms.ended")} description={t("ad.untilHint", { zone: speech.zone })} value={form.until} onChange={(event) => set({ until: event.currentTarget.value })} />
      </div>
      <Refused problem={job.problem} />
      <div className="row"><Button type="submit" loading={job.busy} disabled={!asset}>{t("ad.begin")}</Button></div>
    </form>
  );
}
