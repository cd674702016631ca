// Production windows: when a machine may stop, as a strip of two weeks, and the rules behind it.
import { useState } from "react";
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { call } from "../api/client";
import { plantNow } from "../api/clock";
import { plusDays, refreshPlans, useRules, useStops, type Opening, type Rule, type Stops } from "../api/plans";
import { useAssets } from "../api/queries";
import { useSpeech, type Speech } from "../i18n";
import { fullMoment, number } from "../i18n/format";
import { localAt, momentAt } from "../i18n/zone";
import { Head, Refused, Scroll, useJob } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";
import { go } from "../router";
import { ruleText, WindowForm } from "./plans_window_form";

const SHOWN = 14;

export function Windows({ assetId, may }: { assetId: number | null; may: boolean }) {
  const { t } = useSpeech();
  const assets = useAssets();
  return (
    <>
      <Head title={t("pl.windows")} lead={t("pl.windowsLead")} back={t("pl.title")} backTo="#/plans" />
      <Await query={assets}>
        {(items) => {
          const chosen = assetId ?? items[0]?.asset_id ?? null;
          if (chosen === null) return <div className="panel"><Empty title={t("pl.noAssets")} /></div>;
          return (
            <div className="stack">
              <NativeSelect label={t("pl.asset")} value={String(chosen)} style={{ maxWidth: 360 }} onChange={(event) => go(`/plans/windows/${event.currentTarget.value}`)}
                data={items.map((one) => ({ value: String(one.asset_id), label: `${one.code} · ${one.name}` }))} />
              <Strip key={`s${chosen}`} assetId={chosen} may={may} />
              <Rules key={`r${chosen}`} assetId={chosen} may={may} />
            </div>
          );
        }}
      </Await>
    </>
  );
}

function Strip({ assetId, may }: { assetId: number; may: boolean }) {
  const speech = useSpeech();
  const { t } = speech;
  const [from, setFrom] = useState(localAt(plantNow(), speech.zone).slice(0, 10));
  const begins = localMidnight(from, speech.zone);
  const ends = localMidnight(plusDays(from, SHOWN), speech.zone);
  const stops = useStops(assetId, begins.toISOString(), ends.toISOString());
  const days = Array.from({ length: SHOWN }, (_, i) => plusDays(from, i));
  return (
    <section className="panel stack">
      <div className="row">
        <h2>{t("pl.strip")}</h2>
        <Button size="xs" variant="default" onClick={() => setFrom(plusDays(from, -7))}>← {t("pl.earlier")}</Button>
        <Button size="xs" variant="default" onClick={() => setFrom(plusDays(from, 7))}>{t("pl.later")} →</Button>
      </div>
      <Await query={stops}>
        {(found) => (
          <>
            <p>{words(found, speech)}</p>
            <Scroll label={t("pl.strip")}>
              <ol className="strip">
                {days.map((day) => <Day key={day} day={day} openings={found.openings} />)}
              </ol>
            </Scroll>
            <StopCost assetId={assetId} own={found.own_cost_h} may={may} />
          </>
        )}
      </Await>
    </section>
  );
}

function words(found: Stops, speech: Speech): string {
  const first = speech.t(found.restricted ? "pl.restricted" : "pl.always");
  if (!found.next) return `${first} ${speech.t("pl.noStop")}`;
  return `${first} ${speech.t("pl.nextStop", { when: fullMoment(found.next.begins, speech), cost: number(found.next.cost_h, speech) })}`;
}

function Day({ day, openings }: { day: string; openings: Opening[] }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const start = localMidnight(day, speech.zone).getTime();
  const end = localMidnight(plusDays(day, 1), speech.zone).getTime();
  const bars = openings
    .map((one) => ({ one, from: Math.max(Date.parse(one.begins), start), to: Math.min(Date.parse(one.ends), end) }))
    .filter((bar) => bar.from < bar.to);
  const clock = (at: number) => new Intl.DateTimeFormat("en-GB", { timeZone: speech.zone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(at);
  const said = bars.map((bar) => `${code("windowKind", bar.one.kind)} ${clock(bar.from)}–${bar.to === end ? "24:00" : clock(bar.to)}`).join(", ") || t("pl.closed");
  return (
    <li>
      <span className="day">{day.slice(5)} {code("weekday", (new Date(`${day}T00:00:00Z`).getUTCDay() + 6) % 7)}</span>
      <span className="lane" aria-hidden="true">
        {bars.map((bar, i) => <span key={i} className={`opening ${bar.one.kind}`} style={{ left: `${(100 * (bar.from - start)) / (end - start)}%`, width: `${(100 * (bar.to - bar.from)) / (end - start)}%` }} />)}
      </span>
      <span className="said">{said}</span>
    </li>
  );
}

function Rules({ assetId, may }: { assetId: number; may: boolean }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const rules = useRules(assetId);
  const job = useJob();
  const [edited, setEdited] = useState<number | null>(null);
  const remove = (one: Rule) => job.run(async () => {
    try { await call(`/windows/${one.window_id}`, { method: "DELETE", version: one.version }); } finally { await refreshPlans(); }
  });
  return (
    <section className="panel stack">
      <h2>{t("pl.rules")}</h2>
      <Refused problem={job.problem} />
      <Await query={rules}>
        {(items) => items.length === 0 ? <p className="soft">{t("pl.noRules")}</p> : (
          <ul className="plain-list">
            {items.map((one) => edited === one.window_id ? (
              <li key={one.window_id} className="panel"><WindowForm assetId={assetId} rule={one} close={() => setEdited(null)} /></li>
            ) : (
              <li key={one.window_id} className="row wrap">
                <span><strong>{code("windowKind", one.kind)}</strong> {ruleText(one, speech)} · {t("pl.costH", { cost: number(one.cost_h, speech) })} {one.note}</span>
                {may && <Button size="xs" variant="default" aria-label={`${t("setting.change")} ${ruleText(one, speech)}`} onClick={() => setEdited(one.window_id)}>{t("setting.change")}</Button>}
                {may && <Button size="xs" variant="default" aria-label={`${t("pl.remove")} ${ruleText(one, speech)}`} onClick={() => void remove(one)}>{t("pl.remove")}</Button>}
              </li>
            ))}
          </ul>
        )}
      </Await>
      {may && <WindowForm assetId={assetId} rule={null} />}
    </section>
  );
}

/** What an hour of standing costs outside of windows; blank: as of the asset above. */
function StopCost({ assetId, own, may }: { assetId: number; own: number | null; may: boolean }) {
  const speech = useSpeech();
  const { t } = speech;
  const job = useJob();
  const [text, setText] = useState<string | null>(null);
  const save = () => job.run(async () => {
    await call(`/assets/${assetId}/stop-cost`, { method: "PUT", body: { cost_h: text === "" ? null : Number(text) } });
    setText(null);
    toast(t("pl.costSaved"));
    await refreshPlans();
  });
  if (!may) return <p>{t("pl.ownCost")}: {own === null ? t("pl.asAbove") : t("pl.costH", { cost: number(own, speech) })}</p>;
  return (
    <form className="stack tight" onSubmit={(event) => { event.preventDefault(); void save(); }}>
      <div className="row wrap" style={{ alignItems: "flex-end" }}>
        <TextInput label={t("pl.ownCost")} inputMode="decimal" placeholder={t("pl.asAbove")} value={text ?? (own === null ? "" : String(own))} onChange={(event) => setText(event.currentTarget.value)} />
        <Button type="submit" variant="default" loading={job.busy} disabled={text === null || !Number.isFinite(Number(text))}>{t("app.save")}</Button>
      </div>
      <Refused problem={job.problem} />
    </form>
  );
}

/** The instant at which a day begins on the plant's wall clock. */
function localMidnight(day: string, zone: string): Date {
  return new Date(momentAt(`${day}T00:00`, zone));
}
