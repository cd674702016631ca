// Alarms out of service: a person took them out, with a reason; a person returns them.
import { useState } from "react";
import { Button, TextInput } from "@mantine/core";
import { refreshAlarms, useOut, type Out } from "../api/alarm_design";
import { call } from "../api/client";
import { useAsset } from "../api/queries";
import { useSpeech } from "../i18n";
import { modeName } from "../i18n/format";
import { AssetSelect } from "../parts/asset_select";
import { Age } from "../parts/marks";
import { Refused, useJob } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";
import { ModeSelect } from "./alarm_suppress";

export function OutOfService({ may }: { may: boolean }) {
  const { t } = useSpeech();
  const out = useOut();
  return (
    <section className="stack" aria-label={t("ad.outTitle")}>
      <h2>{t("ad.outTitle")}</h2>
      <p className="soft">{t("ad.outLead")}</p>
      {may && <TakeOut />}
      <Await query={out}>
        {(items) => items.length === 0 ? <div className="panel"><Empty title={t("ad.noOut")} /></div> : <List items={items} may={may} />}
      </Await>
    </section>
  );
}

function List({ items, may }: { items: Out[]; may: boolean }) {
  const speech = useSpeech();
  const { t } = speech;
  const job = useJob();
  const back = (one: Out) => job.run(async () => {
    try {
      await call(`/alarms-out-of-service/${one.out_id}/return`, { method: "POST", body: {} });
      toast(t("ad.returned", { asset: one.asset_code }));
    } finally {
      await refreshAlarms();
    }
  });
  return (
    <>
      <Refused problem={job.problem} />
      <div className="scroll">
        <table className="list cards middle">
          <caption className="hidden">{t("ad.outTitle")}</caption>
          <thead>
            <tr><th scope="col">{t("alarms.machine")}</th><th scope="col">{t("mp.mode")}</th><th scope="col">{t("alarms.reason")}</th><th scope="col">{t("ad.by")}</th><th scope="col">{t("alarms.since")}</th>{may && <th scope="col"><span className="hidden">{t("setting.actions")}</span></th>}</tr>
          </thead>
          <tbody>
            {items.map((one) => (
              <tr key={one.out_id}>
                <th scope="row"><a className="title" href={`#/assets/${one.asset_id}`}>{one.asset_code}</a></th>
                <td data-label={t("mp.mode")}>{one.mode ? modeName(one.mode, speech) : t("ad.everyMode")}</td>
                <td data-label={t("alarms.reason")}>{one.reason}</td>
                <td data-label={t("ad.by")}>{one.by_whom}</td>
                <td data-label={t("alarms.since")}><Age at={one.since} /></td>
                {may && <td><Button size="xs" variant="default" loading={job.busy} aria-label={`${t("ad.return")}: ${one.asset_code}`} onClick={() => void back(one)}>{t("ad.return")}</Button></td>}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function TakeOut() {
  const { t } = useSpeech();
  const job = useJob();
  const [asset, setAsset] = useState("");
  const [mode, setMode] = useState("");
  const [reason, setReason] = useState("");
  const chosen = useAsset(Number(asset) || null);
  const take = () => job.run(async () => {
    await call("/alarms-out-of-service", { method: "POST", body: { asset_id: Number(asset), mode, reason: reason.trim() } });
    setAsset("");
    setMode("");
    setReason("");
    toast(t("ad.taken"));
    await refreshAlarms();
  });
  return (
    <form className="panel stack" aria-label={t("ad.takeOut")} onSubmit={(event) => { event.preventDefault(); void take(); }}>
      <div className="row wrap" style={{ alignItems: "flex-start" }}>
        <AssetSelect label={t("alarms.machine")} required value={asset} change={setAsset} />
        <ModeSelect assetClass={chosen.data?.asset_class || null} value={mode} change={setMode} />
        <TextInput label={t("alarms.reason")} withAsterisk maxLength={1000} value={reason} onChange={(event) => setReason(event.currentTarget.value)} />
      </div>
      <Refused problem={job.problem} />
      <div className="row"><Button type="submit" loading={job.busy} disabled={!asset || reason.trim().length < 3}>{t("ad.takeOut")}</Button></div>
    </form>
  );
}
