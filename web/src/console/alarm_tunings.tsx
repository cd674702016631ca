// Dead bands, delays and limits: the site's, a class's, a signal's, or both; a blank field comes from the more general row.
import { useState } from "react";
import { Button, NativeSelect, NumberInput, TextInput } from "@mantine/core";
import { NUMBERS, refreshAlarms, SHIPPED, useTunings, type Said, type Tuning, type TuningNumber } from "../api/alarm_design";
import { call } from "../api/client";
import { useSpeech, type Speech } from "../i18n";
import { number, signalName } from "../i18n/format";
import { useClasses } from "../parts/asset_select";
import { useDraft } from "../parts/draft";
import { Age } from "../parts/marks";
import { Overtaken, Refused, useJob, type Lines } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";

const NEW: Said = { asset_class: "", signal: "", dead_band: null, on_delay_s: null, off_delay_s: null, fleeting_s: null, chatter_per_minute: null, stale_h: null, tell_severity: null };

export function Tunings({ may }: { may: boolean }) {
  const { t } = useSpeech();
  const tunings = useTunings();
  const [edited, setEdited] = useState<number | null>(null); // 0: a new one
  return (
    <div className="stack">
      <p className="soft">{t("ad.tuningLead")}</p>
      <Await query={tunings}>
        {(items) => (
          <>
            {may && edited === null && <div><Button onClick={() => setEdited(0)}>{t("ad.newTuning")}</Button></div>}
            {edited !== null && <Form key={edited} one={items.find((one) => one.tuning_id === edited) ?? null} all={items} edit={setEdited} />}
            {items.length === 0 && <div className="panel"><Empty title={t("ad.noTunings")} hint={t("ad.noTuningsHint")} /></div>}
            {items.map((one) => <One key={one.tuning_id} one={one} may={may} edit={() => setEdited(one.tuning_id)} />)}
          </>
        )}
      </Await>
    </div>
  );
}

function scope(one: { asset_class: string; signal: string }, speech: Speech): string {
  const parts = [one.asset_class && speech.code("class", one.asset_class), one.signal && signalName({ code: one.signal }, speech)].filter(Boolean);
  return parts.length > 0 ? parts.join(" · ") : speech.t("ad.wholeSite");
}

function plain(name: TuningNumber, value: number, speech: Speech): string {
  if (name === "tell_severity") return value === 0 ? speech.t("ad.tellNobody") : speech.t("ad.tellFrom", { severity: speech.code("severity", value) });
  return `${number(value, speech)} ${speech.code("adUnit", name)}`;
}

function linesOf(one: Said, speech: Speech): Lines {
  const said = NUMBERS.filter((name) => one[name] !== null);
  return Object.fromEntries(said.map((name) => [speech.code("adName", name), plain(name, one[name]!, speech)]));
}

function One({ one, may, edit }: { one: Tuning; may: boolean; edit: () => void }) {
  const speech = useSpeech();
  const { t } = speech;
  const job = useJob();
  const name = scope(one, speech);
  const drop = () => job.run(async () => {
    try {
      await call(`/alarm-tunings/${one.tuning_id}`, { method: "DELETE" });
      toast(t("ad.tuningGone", { name }));
    } finally {
      await refreshAlarms();
    }
  });
  return (
    <section className="panel stack tight" aria-label={name}>
      <div className="row between"><h2 style={{ margin: 0 }}>{name}</h2><span className="small soft">{one.changed_by} <Age at={one.changed_at} /></span></div>
      <dl className="facts">{Object.entries(linesOf(one, speech)).map(([label, value]) => [<dt key={label}>{label}</dt>, <dd key={`${label} is`}>{value}</dd>])}</dl>
      <Refused problem={job.problem} />
      {may && (
        <div className="row">
          <Button size="xs" variant="default" aria-label={`${t("setting.change")}: ${name}`} onClick={edit}>{t("setting.change")}</Button>
          <Button size="xs" variant="default" loading={job.busy} aria-label={`${t("setting.remove")}: ${name}`} onClick={() => void drop()}>{t("setting.remove")}</Button>
        </div>
      )}
    </section>
  );
}

function body({ asset_class, signal, ...rest }: Said): Said {
  const numbers = Object.fromEntries(NUMBERS.map((name) => [name, rest[name]])) as Record<TuningNumber, number | null>;
  return { asset_class, signal: signal.trim(), ...numbers };
}

function Form({ one, all, edit }: { one: Tuning | null; all: Tuning[]; edit: (id: number | null) => void }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const job = useJob();
  const classes = useClasses();
  const { draft, set, version, theirs, take, keep } = useDraft(one, body, () => NEW);
  const [settled, setSettled] = useState(0);
  const same = one === null ? all.find((each) => each.asset_class === draft.asset_class && each.signal === draft.signal.trim()) : undefined;
  const save = () => job.run(async () => {
    try {
      await call("/alarm-tunings", { method: one ? "PUT" : "POST", version: one ? version : undefined, body: body(draft) });
      toast(t("ad.tuningSaved"));
      edit(null);
    } finally {
      await refreshAlarms();
    }
  });
  const settle = (way: () => void) => {
    way();
    setSettled(settled + 1);
    job.clear();
  };
  return (
    <form className="panel stack" aria-label={t("ad.tuning")} onSubmit={(event) => { event.preventDefault(); void save(); }}>
      <h2>{one ? scope(one, speech) : t("ad.newTuning")}</h2>
      {one === null && (
        <div className="row wrap" style={{ alignItems: "flex-start" }}>
          <NativeSelect label={t("mp.class")} value={draft.asset_class} data={[{ value: "", label: t("ad.everyClass") }, ...classes.map((value) => ({ value, label: code("class", value) }))]} onChange={(event) => set({ ...draft, asset_class: event.currentTarget.value })} />
          <TextInput label={t("ad.signal")} description={t("ad.signalHint")} maxLength={100} value={draft.signal} onChange={(event) => set({ ...draft, signal: event.currentTarget.value })} />
        </div>
      )}
      <p className="soft" style={{ margin: 0 }}>{t("ad.blank")}</p>
      <div key={settled} className="fields">
        {NUMBERS.filter((name) => name !== "tell_severity").map((name) => (
          <NumberInput
            key={name} label={`${code("adName", name)} (${code("adUnit", name)})`} description={code("adMeans", name)} placeholder={t("ad.shipped", { value: SHIPPED[name].usual })}
            min={SHIPPED[name].least} max={SHIPPED[name].most} decimalScale={name === "chatter_per_minute" ? 0 : 3} clampBehavior="none" inputMode="decimal" hideControls
            value={draft[name] ?? ""} onChange={(value) => set({ ...draft, [name]: value === "" ? null : Number(value) })}
          />
        ))}
        <NativeSelect
          label={code("adName", "tell_severity")} description={code("adMeans", "tell_severity")} value={String(draft.tell_severity ?? "")}
          data={[{ value: "", label: t("ad.shipped", { value: code("severity", SHIPPED.tell_severity.usual) }) }, ...[0, 1, 2, 3, 4].map((value) => ({ value: String(value), label: plain("tell_severity", value, speech) }))]}
          onChange={(event) => set({ ...draft, tell_severity: event.currentTarget.value === "" ? null : Number(event.currentTarget.value) })}
        />
      </div>
      {same && <p role="status">▲ {t("ad.sameTuning", { name: scope(same, speech) })} <button type="button" className="plain" onClick={() => edit(same.tuning_id)}>{t("ad.openThat")}</button></p>}
      {theirs ? <Overtaken by={theirs.changed_by} mine={linesOf(draft, speech)} theirs={linesOf(theirs, speech)} take={() => settle(take)} keep={() => settle(keep)} /> : <Refused problem={job.problem} />}
      <div className="row">
        <Button type="submit" loading={job.busy} disabled={same !== undefined || NUMBERS.every((name) => draft[name] === null)}>{t("app.save")}</Button>
        <Button variant="default" onClick={() => edit(null)}>{t("app.cancel")}</Button>
      </div>
    </form>
  );
}
