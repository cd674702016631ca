// One meter: its reading entered by hand, or where it is counted from; what was read before, and its words.
import { useState, type FormEvent } from "react";
import { Button, Checkbox, NumberInput, TextInput } from "@mantine/core";
import { call } from "../api/client";
import { useMeters, useReadings, type Meter } from "../api/meters";
import { refreshPlans } from "../api/plans";
import { useAsset } from "../api/queries";
import { useSend } from "../api/send";
import { useSpeech } from "../i18n";
import { fullMoment, signalName, unitLabel } from "../i18n/format";
import { momentAt } from "../i18n/zone";
import { useDraft } from "../parts/draft";
import { Age } from "../parts/marks";
import { Head, Overtaken, Refused, useJob } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";
import { SendProblem } from "../parts/transition";
import { exact, perDay } from "./meters";

export function MeterPage({ meterId, may }: { meterId: number; may: boolean }) {
  const { t } = useSpeech();
  const meters = useMeters();
  return (
    <Await query={meters}>
      {(items) => {
        const found = items.find((one) => one.meter_id === meterId);
        return found ? <One one={found} may={may} /> : <Empty title={t("app.notFound")} />;
      }}
    </Await>
  );
}

function One({ one, may }: { one: Meter; may: boolean }) {
  const speech = useSpeech();
  const { t, code } = speech;
  return (
    <>
      <Head title={`${one.asset} · ${one.name}`} lead={code("meterWayMeans", one.way)} back={t("mt.title")} backTo="#/plans/meters" />
      <div className="stack">
        <section className="panel" aria-label={t("mt.now")}>
          <dl className="facts">
            <dt>{t("mt.stands")}</dt><dd><b>{exact(one.total, one.unit, speech)}</b></dd>
            <dt>{t("mt.shows")}</dt><dd>{exact(one.value, one.unit, speech)} {one.read_at && <Age at={one.read_at} />}</dd>
            <dt>{t("mt.rate")}</dt><dd>{perDay(one, speech)}</dd>
            <dt>{t("pl.asset")}</dt><dd><a href={`#/assets/${one.asset_id}`}>{one.asset}</a></dd>
          </dl>
        </section>
        {one.way !== "by_hand" && <Derived one={one} />}
        {(one.way === "by_hand" || (one.way === "running_hours" && one.total === null)) && <Read one={one} />}
        {may && <Words one={one} />}
        <Past one={one} />
      </div>
    </>
  );
}

function Read({ one }: { one: Meter }) {
  const speech = useSpeech();
  const { t } = speech;
  const [value, setValue] = useState<number | string>("");
  const [at, setAt] = useState("");
  const [replaced, setReplaced] = useState(false);
  const sender = useSend<Meter>(`meter.${one.meter_id}`, async (made) => {
    setValue("");
    setAt("");
    setReplaced(false);
    toast(t("mt.taken", { total: exact(made.total, made.unit, speech) }));
    await refreshPlans();
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void sender.send(`/meters/${one.meter_id}/readings`, { value: Number(value), at: at ? momentAt(at, speech.zone) : null, replaced });
  };
  const fell = one.value !== null && value !== "" && Number(value) < one.value && !replaced;
  return (
    <form className="panel stack" aria-label={t("mt.read")} onSubmit={submit}>
      <h2>{t(one.way === "by_hand" ? "mt.read" : "mt.first")}</h2>
      <div className="row wrap" style={{ alignItems: "flex-end" }}>
        <NumberInput label={t("mt.reading", { unit: unitLabel(one.unit, speech) })} withAsterisk min={0} max={1e12} inputMode="decimal" hideControls value={value} onChange={setValue} />
        <TextInput type="datetime-local" label={t("mt.at")} description={t("mt.atHint", { zone: speech.zone })} value={at} onChange={(event) => setAt(event.currentTarget.value)} />
      </div>
      <Checkbox label={t("mt.replaced")} checked={replaced} onChange={(event) => setReplaced(event.currentTarget.checked)} />
      {fell && <p role="status">▲ {t("mt.fell", { was: exact(one.value, one.unit, speech) })}</p>}
      <SendProblem sender={sender} />
      <div className="row"><Button type="submit" size="md" loading={sender.sending} disabled={value === ""}>{t("mt.enter")}</Button></div>
    </form>
  );
}

function Derived({ one }: { one: Meter }) {
  const speech = useSpeech();
  const asset = useAsset(one.asset_id);
  const signal = asset.data?.signals.find((each) => each.signal_id === one.signal_id);
  return (
    <section className="panel stack tight" aria-label={speech.t("mt.derived")}>
      <h2>{speech.t("mt.derived")}</h2>
      <p>{speech.t("mt.derivedLead")}</p>
      {one.signal_id !== null && <p><a className="tall-link" style={{ padding: 0 }} href={`#/assets/${one.asset_id}?signal=${one.signal_id}`}>{signal ? signalName(signal, speech) : speech.t("mt.signal")}</a></p>}
    </section>
  );
}

function Words({ one }: { one: Meter }) {
  const speech = useSpeech();
  const { t } = speech;
  const job = useJob();
  const [open, setOpen] = useState(false);
  const { draft, set, version, theirs, dirty, take, keep, saved } = useDraft({ ...one, changed_by: "" }, ({ name, unit }) => ({ name, unit }), () => ({ name: "", unit: "" }));
  const save = () => job.run(async () => {
    try {
      saved({ ...(await call<Meter>(`/meters/${one.meter_id}`, { method: "PUT", version, body: draft })), changed_by: "" });
      toast(t("mt.saved"));
    } finally {
      await refreshPlans();
    }
  });
  const lines = (words: { name: string; unit: string }) => ({ [t("mt.name")]: words.name, [t("mt.unit")]: words.unit });
  if (!open) return <div><Button variant="default" onClick={() => setOpen(true)}>{t("mt.words")}</Button></div>;
  return (
    <form className="panel stack" aria-label={t("mt.words")} onSubmit={(event) => { event.preventDefault(); void save(); }}>
      <h2>{t("mt.words")}</h2>
      <div className="row wrap" style={{ alignItems: "flex-end" }}>
        <TextInput label={t("mt.name")} withAsterisk maxLength={200} value={draft.name} onChange={(event) => set({ ...draft, name: event.currentTarget.value })} />
        <TextInput label={t("mt.unit")} description={one.way === "running_hours" ? undefined : t("mt.unitHint")} disabled={one.way === "running_hours"} withAsterisk maxLength={16} value={draft.unit} onChange={(event) => set({ ...draft, unit: event.currentTarget.value })} />
      </div>
      {theirs ? <Overtaken by="" mine={lines(draft)} theirs={lines(theirs)} take={() => { take(); job.clear(); }} keep={() => { keep(); job.clear(); }} /> : <Refused problem={job.problem} />}
      <div className="row">
        <Button type="submit" loading={job.busy} disabled={!dirty || !draft.name.trim() || !draft.unit.trim()}>{t("app.save")}</Button>
        <Button variant="default" onClick={() => setOpen(false)}>{t("app.close")}</Button>
      </div>
    </form>
  );
}

function Past({ one }: { one: Meter }) {
  const speech = useSpeech();
  const { t } = speech;
  const past = useReadings(one.meter_id);
  return (
    <section className="stack" aria-label={t("mt.past")}>
      <h2>{t("mt.past")}</h2>
      <Await query={past}>
        {(items) => items.length === 0 ? <div className="panel"><Empty title={t("mt.noPast")} /></div> : (
          <div className="scroll">
            <table className="list cards">
              <thead><tr><th scope="col">{t("mt.at")}</th><th scope="col" className="num">{t("mt.shows")}</th><th scope="col" className="num">{t("mt.stands")}</th><th scope="col">{t("mt.by")}</th></tr></thead>
              <tbody>
                {items.map((each) => (
                  <tr key={each.at}>
                    <th scope="row">{fullMoment(each.at, speech)}</th>
                    <td className="num" data-label={t("mt.shows")}>{exact(each.value, one.unit, speech)}</td>
                    <td className="num" data-label={t("mt.stands")}>{exact(each.total, one.unit, speech)}</td>
                    <td data-label={t("mt.by")}>{each.by_name}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Await>
    </section>
  );
}
