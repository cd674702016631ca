// One part: its words and price, and for each store how few of it are too few and how many were counted.
import { useState } from "react";
import { Button, NumberInput, TextInput } from "@mantine/core";
import { ask } from "../api/ask";
import { partNamed, refreshStock, useLevels, usePartList, useStores, type Level, type Part, type Store } from "../api/dispatch";
import { useSpeech, type Speech } from "../i18n";
import { number } from "../i18n/format";
import { useDraft } from "../parts/draft";
import { Head, isUnseen, Overtaken, Refused, useJob, type Lines } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";
import { go } from "../router";

const DAY_S = 86_400;
type Draft = Omit<Part, "part_id" | "version" | "changed_by">;
const NEW: Draft = { code: "", name: "", unit: "pcs", price: 0, lead_s: 7 * DAY_S, smallest: null };

export function PartPage({ code }: { code: string | null }) {
  const { t } = useSpeech();
  const parts = usePartList();
  if (code === null) return <PartForm part={null} />;
  return (
    <Await query={parts}>
      {(items) => {
        const part = items.find((one) => one.code === code);
        return part ? <><PartForm key={part.part_id} part={part} /><Shelves part={part} /></> : <Empty title={t("app.notFound")} />;
      }}
    </Await>
  );
}

function linesOf(one: Draft, speech: Speech): Lines {
  const { t } = speech;
  return {
    [t("stock.number")]: one.code, [t("stock.name")]: one.name, [t("stock.unit")]: one.unit,
    [t("stock.price")]: number(one.price, speech), [t("stock.lead_s")]: t("stock.days", { n: number(one.lead_s / DAY_S, speech) }),
    [t("stock.smallest")]: one.smallest === null ? t("stock.asUnit") : `${number(one.smallest, speech)} ${one.unit}`,
  };
}

function PartForm({ part }: { part: Part | null }) {
  const speech = useSpeech();
  const { t } = speech;
  const job = useJob();
  const [found, setFound] = useState<Part | null>(null); // a new part's code may be taken
  const { draft, set: setDraft, version, theirs, take, keep, saved } = useDraft<Part, Draft>(part ?? found, bare, () => NEW);
  const set = (some: Partial<Draft>) => setDraft({ ...draft, ...some });
  const save = () => job.run(async () => {
    const body = { ...draft, code: draft.code.trim(), name: draft.name.trim() };
    let made: Part;
    try {
      made = await ask("PUT /parts", { version, body });
    } catch (error) {
      if (isUnseen(error as never)) setFound((await partNamed(body.code)) ?? null);
      if (isUnseen(error as never)) await refreshStock();
      throw error;
    }
    saved(made);
    await refreshStock();
    toast(t("stock.saved", { what: body.name }));
    if (!part) go(`/stock/parts/${encodeURIComponent(body.code)}`, "replace");
  });
  const settle = (way: () => void) => {
    way();
    job.clear();
  };
  return (
    <>
      <Head title={part?.name ?? t("stock.newPart")} lead={part?.code} back={t("stock.parts")} backTo="#/stock/parts" />
      <form className="panel stack" onSubmit={(event) => { event.preventDefault(); void save(); }}>
        <div className="row" style={{ alignItems: "flex-end" }}>
          <TextInput label={t("stock.number")} withAsterisk maxLength={64} disabled={part !== null} value={draft.code} onChange={(event) => set({ code: event.currentTarget.value })} />
          <TextInput label={t("stock.name")} style={{ flex: "1 1 240px" }} withAsterisk maxLength={200} value={draft.name} onChange={(event) => set({ name: event.currentTarget.value })} />
          <TextInput label={t("stock.unit")} withAsterisk maxLength={16} w={110} value={draft.unit} onChange={(event) => set({ unit: event.currentTarget.value })} />
          <NumberInput label={t("stock.price")} w={140} min={0} hideControls value={draft.price} onChange={(value) => set({ price: Number(value) || 0 })} />
          <NumberInput label={t("stock.leadDays")} w={140} min={0} max={730} hideControls value={draft.lead_s / DAY_S} onChange={(value) => set({ lead_s: Math.round((Number(value) || 0) * DAY_S) })} />
          <NumberInput
            label={t("stock.smallestOf", { unit: draft.unit || "…" })} description={t("stock.smallestHint")} inputWrapperOrder={["label", "input", "description", "error"]}
            placeholder={part?.smallest ? number(part.smallest, speech) : t("stock.asUnit")} w={260} min={1e-9} max={1e6} decimalScale={9} hideControls
            value={draft.smallest ?? ""} onChange={(value) => set({ smallest: Number(value) > 0 ? Number(value) : null })}
          />
        </div>
        {theirs
          ? <Overtaken by={theirs.changed_by} mine={linesOf(draft, speech)} theirs={linesOf(theirs, speech)} take={() => settle(take)} keep={() => settle(keep)} />
          : <Refused problem={job.problem} />}
        <div><Button type="submit" loading={job.busy} disabled={!draft.code.trim() || !draft.name.trim() || !draft.unit.trim()}>{t("app.save")}</Button></div>
      </form>
    </>
  );
}

function bare({ code, name, unit, price, lead_s, smallest }: Draft): Draft {
  return { code, name, unit, price, lead_s, smallest };
}

function Shelves({ part }: { part: Part }) {
  const { t } = useSpeech();
  const stores = useStores();
  const levels = useLevels();
  return (
    <section className="stack" style={{ marginTop: 16 }} aria-label={t("stock.shelves")}>
      <h2>{t("stock.shelves")}</h2>
      <p className="soft">{t("stock.shelvesLead")}</p>
      <Await query={stores}>
        {(known) => known.length === 0 ? <div className="panel"><Empty title={t("stock.noStores")}><a href="#/stock/stores">{t("stock.stores")}</a></Empty></div> : (
          <Await query={levels}>
            {({ items }) => known.map((store) => {
              const level = items.find((one) => one.store_id === store.store_id && one.part_id === part.part_id);
              return <Shelf key={store.store_id} part={part} store={store} level={level} />;
            })}
          </Await>
        )}
      </Await>
    </section>
  );
}

/** A count says how many there are: what is booked is the difference to what stood there when it was written down. */
function Shelf({ part, store, level }: { part: Part; store: Store; level: Level | undefined }) {
  const speech = useSpeech();
  const { t } = speech;
  const job = useJob();
  const [minimum, setMinimum] = useState<number | string>(level?.minimum ?? 0);
  const [target, setTarget] = useState<number | string>(level?.target ?? 0);
  const [counted, setCounted] = useState<number | string>("");
  const [seen, setSeen] = useState(0);
  const [moved, setMoved] = useState<number | null>(null);
  const place = { store_id: store.store_id, part_id: part.part_id };
  const limits = () => job.run(async () => {
    await ask("PUT /stock/levels", { body: { ...place, minimum: Number(minimum), target: Number(target) } });
    await refreshStock();
    toast(t("stock.saved", { what: `${part.code} · ${store.name}` }));
  });
  const count = () => job.run(async () => {
    const now = (await ask("GET /stock", { query: place })).items[0]?.on_hand ?? 0;
    if (now !== (moved ?? seen)) return setMoved(now);
    const quantity = Number(counted) - now;
    if (quantity !== 0) await ask("POST /stock/receive", { body: { ...place, quantity, kind: "correct" } });
    setCounted("");
    setMoved(null);
    await refreshStock();
    toast(t("stock.countKept", { n: number(Number(counted), speech), unit: part.unit, store: store.name }));
  });
  const write = (value: number | string) => {
    if (counted === "") setSeen(level?.on_hand ?? 0);
    setCounted(value);
  };
  return (
    <section className="panel stack" aria-label={store.name}>
      <div className="row between">
        <h3>{store.name} <code className="soft small">{store.code}</code></h3>
        <span>{t("stock.onHand")}: <strong>{number(level?.on_hand ?? 0, speech)} {part.unit}</strong> · {t("stock.reserved")}: {number(level?.reserved ?? 0, speech)}</span>
      </div>
      <form className="row" style={{ alignItems: "flex-end" }} onSubmit={(event) => { event.preventDefault(); void limits(); }}>
        <NumberInput label={t("stock.minimum")} w={130} min={0} hideControls value={minimum} onChange={setMinimum} />
        <NumberInput label={t("stock.target")} w={130} min={0} hideControls value={target} onChange={setTarget} error={Number(target) < Number(minimum) ? t("stock.targetLow") : undefined} />
        <Button type="submit" variant="default" loading={job.busy} disabled={minimum === "" || target === "" || Number(target) < Number(minimum)}>{t("stock.keepLimits")}</Button>
      </form>
      <form className="row" style={{ alignItems: "flex-end" }} onSubmit={(event) => { event.preventDefault(); void count(); }}>
        <NumberInput label={t("stock.counted")} w={130} min={0} hideControls value={counted} onChange={write} />
        <Button type="submit" variant="default" loading={job.busy} disabled={counted === ""}>{t("stock.enterCount")}</Button>
      </form>
      {moved !== null && <p className="problem" role="alert">{t("stock.movedMeanwhile", { n: number(moved, speech), unit: part.unit })}</p>}
      <Refused problem={job.problem} />
    </section>
  );
}
