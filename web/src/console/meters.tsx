// Meters: where each stands and how much comes in a day; a new one is added beside them.
import { useState } from "react";
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { call } from "../api/client";
import { useMeters, type Meter, type Way } from "../api/meters";
import { refreshPlans } from "../api/plans";
import { useAsset } from "../api/queries";
import { useSpeech, type Speech } from "../i18n";
import { number, signalName, unitLabel } from "../i18n/format";
import { AssetSelect } from "../parts/asset_select";
import { Age } from "../parts/marks";
import { Head, Refused, useJob } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";
import { go } from "../router";
import { ROW } from "./list_keys";
import { MeterPage } from "./meter";

const WAYS: Way[] = ["by_hand", "counter", "running_hours"];

export function Meters({ path, may }: { path: string[]; may: boolean }) {
  const [first, second] = path;
  if (first && first !== "asset") return <MeterPage meterId={Number(first)} may={may} />;
  return <List assetId={first === "asset" ? Number(second) || null : null} may={may} />;
}

/** What stands on a meter, to the hundredth: a reading is compared with the dial. */
export function exact(value: number | null, unit: string, speech: Speech): string {
  if (value === null) return "–";
  return `${new Intl.NumberFormat(speech.language, { maximumFractionDigits: 2 }).format(value)} ${unitLabel(unit, speech)}`;
}

export function perDay(one: Meter, speech: Speech): string {
  return one.per_day === null ? "–" : speech.t("mt.aDay", { n: `${number(one.per_day, speech)} ${unitLabel(one.unit, speech)}` });
}

function List({ assetId, may }: { assetId: number | null; may: boolean }) {
  const { t } = useSpeech();
  const meters = useMeters(assetId);
  const [adding, setAdding] = useState(false);
  return (
    <>
      <Head title={t("mt.title")} lead={t("mt.lead")} back={t("pl.title")} backTo="#/plans">
        {may && <Button aria-expanded={adding} onClick={() => setAdding(!adding)}>{t("mt.new")}</Button>}
      </Head>
      <div className="stack">
        <AssetSelect label={t("pl.asset")} blank={t("mt.everyAsset")} value={assetId === null ? "" : String(assetId)} change={(id) => go(id ? `/plans/meters/asset/${id}` : "/plans/meters", "replace")} />
        {adding && <Add key={assetId} assetId={assetId} done={() => setAdding(false)} />}
        <Await query={meters}>
          {(items) => items.length === 0 ? <div className="panel"><Empty title={t("mt.none")} hint={t("mt.noneHint")} /></div> : <Table items={items} />}
        </Await>
      </div>
    </>
  );
}

function Table({ items }: { items: Meter[] }) {
  const speech = useSpeech();
  const { t, code } = speech;
  return (
    <div className="scroll">
      <table className="list cards">
        <caption className="hidden">{t("mt.title")}</caption>
        <thead>
          <tr>
            <th scope="col">{t("mt.meter")}</th><th scope="col">{t("pl.asset")}</th><th scope="col" className="num">{t("mt.stands")}</th>
            <th scope="col" className="num">{t("mt.rate")}</th><th scope="col">{t("mt.readAt")}</th><th scope="col">{t("mt.way")}</th>
          </tr>
        </thead>
        <tbody>
          {items.map((one) => (
            <tr key={one.meter_id}>
              <th scope="row"><a className="title" href={`#/plans/meters/${one.meter_id}`} {...{ [ROW]: "" }}>{one.name}</a> <span className="soft small">{one.code}</span></th>
              <td data-label={t("pl.asset")}><a href={`#/assets/${one.asset_id}`}>{one.asset}</a></td>
              <td className="num" data-label={t("mt.stands")}>{exact(one.total, one.unit, speech)}</td>
              <td className="num" data-label={t("mt.rate")}>{perDay(one, speech)}</td>
              <td data-label={t("mt.readAt")}>{one.read_at ? <Age at={one.read_at} /> : t("mt.never")}</td>
              <td data-label={t("mt.way")}>{code("meterWay", one.way)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Add({ assetId, done }: { assetId: number | null; done: () => void }) {
  const { t, code } = useSpeech();
  const job = useJob();
  const [asset, setAsset] = useState(assetId === null ? "" : String(assetId));
  const [form, setForm] = useState({ code: "", name: "", unit: "h", way: "by_hand" as Way, signal: "" });
  const set = (more: Partial<typeof form>) => setForm({ ...form, ...more });
  const derived = form.way !== "by_hand";
  const unit = form.way === "running_hours" ? "h" : form.unit.trim();
  const good = asset && form.code.trim() && form.name.trim() && unit && (!derived || form.signal);
  const save = () => job.run(async () => {
    const body = { asset_id: Number(asset), code: form.code.trim(), name: form.name.trim(), unit, way: form.way, signal_id: derived ? Number(form.signal) : null };
    const made = await call<Meter>("/meters", { method: "POST", body });
    await refreshPlans();
    toast(t("mt.saved"));
    done();
    go(`/plans/meters/${made.meter_id}`);
  });
  return (
    <form className="panel stack" aria-label={t("mt.new")} onSubmit={(event) => { event.preventDefault(); void save(); }}>
      <h2>{t("mt.new")}</h2>
      <div className="row wrap" style={{ alignItems: "flex-end" }}>
        <AssetSelect label={t("pl.asset")} required value={asset} change={(next) => { setAsset(next); set({ signal: "" }); }} />
        <TextInput label={t("pl.code")} withAsterisk maxLength={64} value={form.code} onChange={(event) => set({ code: event.currentTarget.value })} />
        <TextInput label={t("mt.name")} withAsterisk maxLength={200} value={form.name} onChange={(event) => set({ name: event.currentTarget.value })} />
        <NativeSelect label={t("mt.way")} value={form.way} data={WAYS.map((value) => ({ value, label: code("meterWay", value) }))} onChange={(event) => set({ way: event.currentTarget.value as Way, signal: "" })} />
        <TextInput label={t("mt.unit")} withAsterisk maxLength={16} w={110} disabled={form.way === "running_hours"} value={unit} onChange={(event) => set({ unit: event.currentTarget.value })} />
        {derived && <SignalOf assetId={Number(asset) || null} way={form.way} value={form.signal} change={(signal) => set({ signal })} />}
      </div>
      <p className="soft small">{code("meterWayMeans", form.way)}</p>
      <Refused problem={job.problem} />
      <div className="row">
        <Button type="submit" loading={job.busy} disabled={!good}>{t("app.save")}</Button>
        <Button variant="default" onClick={done}>{t("app.cancel")}</Button>
      </div>
    </form>
  );
}

/** Running hours are told by a state; a counter is anything that is measured. */
function SignalOf({ assetId, way, value, change }: { assetId: number | null; way: Way; value: string; change: (signal: string) => void }) {
  const speech = useSpeech();
  const asset = useAsset(assetId);
  const fitting = (asset.data?.signals ?? []).filter((one) => (one.role === "state") === (way === "running_hours"));
  return (
    <NativeSelect
      label={speech.t("mt.signal")} withAsterisk value={value} onChange={(event) => change(event.currentTarget.value)}
      data={[{ value: "", label: speech.t("field.choose") }, ...fitting.map((one) => ({ value: String(one.signal_id), label: `${signalName(one, speech)} (${unitLabel(one.unit, speech)})` }))]}
    />
  );
}
