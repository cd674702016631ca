// Guides: what there is, what state it is in, and whether it helps.
import { useState } from "react";
import { Button, NumberInput, TextInput } from "@mantine/core";
import { call, Problem } from "../api/client";
import { useEffectOfGuides, useGuides, useUsefulness, type Arm, type Effect, type GuideRow, type GuideShown, type Share, type Usefulness } from "../api/guides";
import { queryClient } from "../api/queries";
import type { Me } from "../api/types";
import { useSpeech, type Key } from "../i18n";
import { number } from "../i18n/format";
import { Age, ToneMark } from "../parts/marks";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";
import { go } from "../router";
import GuideEditor from "./guide_editor";
import { ROW } from "./list_keys";

const REPORTS = new Set(["planner", "manager", "admin"]);
const WRITERS = new Set([...REPORTS, "engineer"]);

export default function Guides({ id, me }: { id: string | undefined; me: Me }) {
  const { t } = useSpeech();
  if (id) return <GuideEditor key={id} articleId={id === "new" ? null : Number(id)} me={me} />;
  return (
    <>
      <div className="page-head">
        <div><h1>{t("guides.title")}</h1><p>{t("guides.lead")}</p></div>
        {WRITERS.has(me.role) && <Button component="a" href="#/guides/new">{t("guides.new")}</Button>}
      </div>
      <div className="stack" style={{ gap: 20 }}>
        <List me={me} />
        {WRITERS.has(me.role) && <FromOrders />}
        {REPORTS.has(me.role) && <HoldOut me={me} />}
      </div>
    </>
  );
}

function List({ me }: { me: Me }) {
  const speech = useSpeech();
  const { t, say, code } = speech;
  const guides = useGuides();
  const use = useUsefulness(REPORTS.has(me.role));
  const [words, setWords] = useState("");
  const wanted = words.trim().toLowerCase();
  const fits = (one: GuideRow) => `${one.code} ${one.title.en} ${one.title.zh} ${one.classes.join(" ")} ${one.modes.join(" ")}`.toLowerCase().includes(wanted);
  return (
    <Await query={guides}>
      {(items) => (
        <div className="stack">
          <TextInput label={t("guides.filter")} value={words} onChange={(event) => setWords(event.currentTarget.value)} style={{ maxWidth: 360 }} />
          {items.filter(fits).length === 0 ? <div className="panel"><Empty title={t("guides.empty")} /></div> : (
            <div className="scroll" tabIndex={0} role="region" aria-label={t("guides.title")}>
              <table className="list middle cards">
                <thead>
                  <tr>
                    <th scope="col">{t("guides.name")}</th>
                    <th scope="col">{t("guides.for")}</th>
                    <th scope="col">{t("guides.state")}</th>
                    <th scope="col">{t("guides.usedOf")}</th>
                    <th scope="col">{t("guides.verified")}</th>
                    <th scope="col">{t("guides.changed")}</th>
                  </tr>
                </thead>
                <tbody>
                  {items.filter(fits).map((one) => (
                    <tr key={one.article_id}>
                      <th scope="row"><a className="title" href={`#/guides/${one.article_id}`} {...{ [ROW]: "" }}>{say(one.title)}</a><div className="soft small">{one.code} · {one.languages.join(", ")}</div></th>
                      <td data-label={t("guides.for")}>{one.classes.map((each) => code("class", each)).join(", ") || t("guides.any")} · {one.modes.map((each) => code("mode", each)).join(", ") || t("guides.any")}</td>
                      <td data-label={t("guides.state")}><StateOf guide={one} /></td>
                      <Use row={use.data?.find((each) => each.article_id === one.article_id)} />
                      <td data-label={t("guides.changed")}><Age at={one.updated_at} /></td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
        </div>
      )}
    </Await>
  );
}

function Use({ row }: { row: Usefulness | undefined }) {
  const speech = useSpeech();
  const [used, verified] = [speech.t("guides.usedOf"), speech.t("guides.verified")];
  if (!row) return <><td data-label={used}>–</td><td data-label={verified}>–</td></>;
  return (
    <>
      <td data-label={used}>{speech.t("guides.usedCount", { used: row.used, pushed: row.pushed })}{row.rating !== null && ` · ★ ${number(row.rating, speech)}`}</td>
      <td data-label={verified}>{shareText(row.after_use, speech)}</td>
    </>
  );
}

export function shareText(share: Share, speech: ReturnType<typeof useSpeech>): string {
  if (share.value === null) return "–";
  const percent = (value: number) => Math.round(value * 100);
  return speech.t("guides.share", { hits: share.hits, count: share.count, low: percent(share.low), high: percent(share.high) });
}

export function StateOf({ guide }: { guide: GuideRow }) {
  const { t } = useSpeech();
  return (
    <span className="row">
      <span className={guide.state === "published" ? "chip accent" : "chip"}>{t(`guides.${guide.state}` as Key)}</span>
      {guide.unpublished && <ToneMark tone="watch">{t("guides.unpublished")}</ToneMark>}
      {guide.offered !== null && <ToneMark tone="watch">{t("guides.offered")}</ToneMark>}
    </span>
  );
}

async function tried(work: () => Promise<void>): Promise<void> {
  try {
    await work();
    await queryClient.invalidateQueries({ queryKey: ["guide"] });
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    toast(error.message);
  }
}

function FromOrders() {
  const { t } = useSpeech();
  const [assetClass, setClass] = useState("");
  const [mode, setMode] = useState("");
  const draft = () => tried(async () => {
    const made = await call<GuideShown>("/articles/draft", { method: "POST", body: { asset_class: assetClass.trim(), mode: mode.trim() } });
    go(`/guides/${made.article_id}`);
  });
  return (
    <section className="panel stack">
      <h2>{t("guides.draftFrom")}</h2>
      <p className="soft">{t("guides.draftHint")}</p>
      <div className="row" style={{ alignItems: "flex-end" }}>
        <TextInput label={t("guides.class")} value={assetClass} onChange={(event) => setClass(event.currentTarget.value)} />
        <TextInput label={t("guides.mode")} value={mode} onChange={(event) => setMode(event.currentTarget.value)} />
        <Button variant="default" disabled={!assetClass.trim() || !mode.trim()} onClick={() => void draft()}>{t("guides.draft1")}</Button>
      </div>
    </section>
  );
}

function HoldOut({ me }: { me: Me }) {
  const effect = useEffectOfGuides(true);
  return <Await query={effect}>{(data) => <Measured key={data.hold_out} effect={data} me={me} />}</Await>;
}

function Measured({ effect, me }: { effect: Effect; me: Me }) {
  const { t, say } = useSpeech();
  const [percent, setPercent] = useState<string | number>(Math.round(effect.hold_out * 100));
  const set = () => tried(async () => { await call("/articles/settings", { method: "PUT", body: { hold_out: Number(percent) / 100 } }); });
  return (
    <section className="panel stack">
      <h2>{t("guides.helps")}</h2>
      <p>{say(effect.sentence)}</p>
      <ul className="stack tight"><ArmLine name="guides.with" arm={effect.pushed} /><ArmLine name="guides.without" arm={effect.held_out} /></ul>
      <p className="soft small">{t("guides.holdOutHint")}</p>
      {me.role !== "planner" && (
        <div className="row" style={{ alignItems: "flex-end" }}>
          <NumberInput label={t("guides.holdOut")} value={percent} onChange={setPercent} min={0} max={50} suffix=" %" />
          <Button variant="default" disabled={percent === "" || Number(percent) / 100 === effect.hold_out} onClick={() => void set()}>{t("guides.set")}</Button>
        </div>
      )}
    </section>
  );
}

function ArmLine({ name, arm }: { name: Key; arm: Arm }) {
  const speech = useSpeech();
  const hours = arm.hours === null ? "–" : number(arm.hours, speech);
  return <li>{speech.t(name, { orders: arm.orders, verified: shareText(arm.verified, speech), hours })}</li>;
}
