// What feeds what: declared supplies, so that what fails with one is understood as one.
import { useState } from "react";
import { Button, NativeSelect } from "@mantine/core";
import { MEDIA, refreshAlarms, useFeeds, type Feed } from "../api/alarm_design";
import { call, query } from "../api/client";
import { useSpeech } from "../i18n";
import { AssetSelect } from "../parts/asset_select";
import { Refused, useJob } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";
import { ROW } from "./list_keys";

export function Feeds({ may }: { may: boolean }) {
  const { t } = useSpeech();
  const feeds = useFeeds();
  return (
    <div className="stack">
      <p className="soft">{t("ad.feedsLead")}</p>
      {may && <Add />}
      <Await query={feeds}>
        {(items) => items.length === 0 ? <div className="panel"><Empty title={t("ad.noFeeds")} hint={t("ad.noFeedsHint")} /></div> : <List items={items} may={may} />}
      </Await>
    </div>
  );
}

function List({ items, may }: { items: Feed[]; may: boolean }) {
  const { t, code } = useSpeech();
  const job = useJob();
  const remove = ({ asset_id, feeder_id, medium }: Feed) => job.run(async () => {
    try {
      await call(`/feeds${query({ asset_id, feeder_id, medium })}`, { method: "DELETE" });
    } finally {
      await refreshAlarms();
    }
  });
  return (
    <>
      <Refused problem={job.problem} />
      <div className="scroll">
        <table className="list cards middle">
          <caption className="hidden">{t("alarmView.feeds")}</caption>
          <thead>
            <tr><th scope="col">{t("ad.feeder")}</th><th scope="col">{t("ad.medium")}</th><th scope="col">{t("ad.fed")}</th>{may && <th scope="col"><span className="hidden">{t("setting.actions")}</span></th>}</tr>
          </thead>
          <tbody>
            {items.map((one) => (
              <tr key={`${one.feeder_id} ${one.asset_id} ${one.medium}`}>
                <th scope="row"><a className="title" href={`#/assets/${one.feeder_id}`} {...{ [ROW]: "" }}>{one.feeder_code}</a></th>
                <td data-label={t("ad.medium")}>{code("medium", one.medium)}</td>
                <td data-label={t("ad.fed")}><a href={`#/assets/${one.asset_id}`}>{one.asset_code}</a></td>
                {may && <td><Button size="xs" variant="default" loading={job.busy} aria-label={`${t("setting.remove")}: ${one.feeder_code} → ${one.asset_code}`} onClick={() => void remove(one)}>{t("setting.remove")}</Button></td>}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function Add() {
  const { t, code } = useSpeech();
  const job = useJob();
  const [feeder, setFeeder] = useState("");
  const [fed, setFed] = useState("");
  const [medium, setMedium] = useState<string>("power");
  const add = () => job.run(async () => {
    await call("/feeds", { method: "POST", body: { asset_id: Number(fed), feeder_id: Number(feeder), medium } });
    setFed(""); // one supply feeds many: the next machine is chosen for the same
    toast(t("ad.feedSaved"));
    await refreshAlarms();
  });
  return (
    <form className="panel stack" aria-label={t("ad.newFeed")} onSubmit={(event) => { event.preventDefault(); void add(); }}>
      <h2>{t("ad.newFeed")}</h2>
      <div className="row wrap" style={{ alignItems: "flex-start" }}>
        <AssetSelect label={t("ad.feeder")} required value={feeder} change={setFeeder} />
        <NativeSelect label={t("ad.medium")} value={medium} data={MEDIA.map((value) => ({ value, label: code("medium", value) }))} onChange={(event) => setMedium(event.currentTarget.value)} />
        <AssetSelect label={t("ad.fed")} hint={t("ad.andBelow")} required value={fed} change={setFed} />
      </div>
      <Refused problem={job.problem} />
      <div className="row"><Button type="submit" loading={job.busy} disabled={!feeder || !fed}>{t("pl.add")}</Button></div>
    </form>
  );
}
