// Setting stock up: parts and how many of them there are, stores, kits, purchase requests; each on a page of its own.
import { useState } from "react";
import { Button, Checkbox, TextInput } from "@mantine/core";
import { call } from "../api/client";
import { readStores, refreshStock, usePartList, useStores, type Store } from "../api/dispatch";
import { useSpeech, type Key } from "../i18n";
import { number } from "../i18n/format";
import { useDraft } from "../parts/draft";
import { Head, isUnseen, Overtaken, Refused, useJob, type Lines } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";
import { ROW } from "./list_keys";
import { Kits } from "./stock_kits";
import { PartPage } from "./stock_part";
import { Purchases } from "./stock_purchases";

export const STOCK_PLACES = ["parts", "stores", "kits", "purchases"] as const;
const DAY_S = 86_400;

export function StockSetup({ path }: { path: string[] }) {
  const { t } = useSpeech();
  const [place, id] = path;
  switch (place) {
    case "parts":
      return id ? <PartPage key={id} code={id === "new" ? null : id} /> : <Parts />;
    case "stores":
      return <Stores />;
    case "kits":
      return <Kits />;
    case "purchases":
      return <Purchases />;
    default:
      return <Empty title={t("app.notFound")} />;
  }
}

export function Places() {
  const { t } = useSpeech();
  return (
    <div className="row">
      {STOCK_PLACES.map((name) => <Button key={name} component="a" size="xs" variant="default" href={`#/stock/${name}`}>{t(`stock.${name}` as Key)}</Button>)}
    </div>
  );
}

function Parts() {
  const speech = useSpeech();
  const { t } = speech;
  const parts = usePartList();
  const [text, setText] = useState("");
  const wanted = text.trim().toLowerCase();
  return (
    <>
      <Head title={t("stock.parts")} lead={t("stock.partsLead")} back={t("stock.title")} backTo="#/stock">
        <Button component="a" href="#/stock/parts/new">{t("stock.newPart")}</Button>
      </Head>
      <TextInput label={t("stock.find")} value={text} onChange={(event) => setText(event.currentTarget.value)} mb="sm" style={{ maxWidth: 360 }} />
      <Await query={parts}>
        {(items) => {
          const shown = items.filter((one) => `${one.code} ${one.name}`.toLowerCase().includes(wanted));
          return shown.length === 0 ? <div className="panel"><Empty title={t("stock.noParts")} /></div> : (
            <div className="scroll">
              <table className="list cards middle">
                <thead>
                  <tr>
                    <th scope="col">{t("stock.part")}</th><th scope="col">{t("stock.unit")}</th>
                    <th scope="col" className="num">{t("stock.price")}</th><th scope="col" className="num">{t("stock.lead_s")}</th>
                  </tr>
                </thead>
                <tbody>
                  {shown.map((one) => (
                    <tr key={one.part_id}>
                      <th scope="row"><a className="title" href={`#/stock/parts/${encodeURIComponent(one.code)}`} {...{ [ROW]: "" }}>{one.name}</a> <code className="soft small">{one.code}</code></th>
                      <td data-label={t("stock.unit")}>{one.unit}</td>
                      <td data-label={t("stock.price")} className="num">{number(one.price, speech)}</td>
                      <td data-label={t("stock.lead_s")} className="num">{t("stock.days", { n: number(one.lead_s / DAY_S, speech) })}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          );
        }}
      </Await>
    </>
  );
}

function Stores() {
  const { t } = useSpeech();
  const stores = useStores();
  const [chosen, setChosen] = useState<Store | "new" | null>(null);
  return (
    <>
      <Head title={t("stock.stores")} lead={t("stock.storesLead")} back={t("stock.title")} backTo="#/stock">
        <Button onClick={() => setChosen("new")}>{t("stock.newStore")}</Button>
      </Head>
      {chosen && <StoreForm key={chosen === "new" ? "" : chosen.code} store={chosen === "new" ? null : chosen} close={() => setChosen(null)} />}
      <Await query={stores}>
        {(items) => items.length === 0 ? <div className="panel"><Empty title={t("stock.noStores")} /></div> : (
          <div className="scroll">
            <table className="list cards middle">
              <thead><tr><th scope="col">{t("stock.store")}</th><th scope="col">{t("stock.below")}</th><th scope="col">{t("setting.actions")}</th></tr></thead>
              <tbody>
                {items.map((one) => (
                  <tr key={one.store_id}>
                    <th scope="row"><strong>{one.name}</strong> <code className="soft small">{one.code}</code></th>
                    <td data-label={t("stock.below")}>{t(one.allow_negative ? "stock.mayBelow" : "stock.neverBelow")}</td>
                    <td data-label={t("setting.actions")}><Button size="xs" variant="default" aria-label={`${t("setting.change")} ${one.name}`} onClick={() => setChosen(one)} {...{ [ROW]: "" }}>{t("setting.change")}</Button></td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Await>
    </>
  );
}

function StoreForm({ store, close }: { store: Store | null; close: () => void }) {
  const { t } = useSpeech();
  const job = useJob();
  const [code, setCode] = useState(store?.code ?? "");
  const [found, setFound] = useState<Store | null>(null); // as it stands, once it was asked for
  const words = ({ name, allow_negative }: Pick<Store, "name" | "allow_negative">) => ({ name, allow_negative });
  const { draft, set, version, theirs, take, keep } = useDraft(found ?? store, words, () => ({ name: "", allow_negative: false }));
  const lines = (one: Pick<Store, "name" | "allow_negative">): Lines => ({
    [t("stock.name")]: one.name, [t("stock.below")]: t(one.allow_negative ? "stock.mayBelow" : "stock.neverBelow"),
  });
  const save = () => job.run(async () => {
    try {
      await call("/stores", { method: "PUT", version, body: { ...draft, code: code.trim(), name: draft.name.trim() } });
    } catch (error) {
      if (isUnseen(error as never)) setFound((await readStores()).find((one) => one.code === code.trim()) ?? null);
      throw error;
    }
    await refreshStock();
    toast(t("stock.saved", { what: draft.name.trim() }));
    close();
  });
  const settle = (way: () => void) => {
    way();
    job.clear();
  };
  return (
    <form className="panel stack" style={{ marginBottom: 16 }} onSubmit={(event) => { event.preventDefault(); void save(); }}>
      <h2>{store?.name ?? t("stock.newStore")}</h2>
      <div className="row" style={{ alignItems: "flex-end" }}>
        <TextInput label={t("stock.number")} withAsterisk maxLength={64} disabled={store !== null} value={code} onChange={(event) => setCode(event.currentTarget.value)} />
        <TextInput label={t("stock.name")} style={{ flex: "1 1 240px" }} withAsterisk maxLength={200} value={draft.name} onChange={(event) => set({ ...draft, name: event.currentTarget.value })} />
      </div>
      <Checkbox label={t("stock.allowBelow")} description={t("stock.allowBelowHint")} checked={draft.allow_negative} onChange={(event) => set({ ...draft, allow_negative: event.currentTarget.checked })} />
      {theirs
        ? <Overtaken by={theirs.changed_by} mine={lines(draft)} theirs={lines(theirs)} take={() => settle(take)} keep={() => settle(keep)} />
        : <Refused problem={job.problem} />}
      <div className="row">
        <Button type="submit" loading={job.busy} disabled={!code.trim() || !draft.name.trim()}>{t("app.save")}</Button>
        <Button variant="default" onClick={close}>{t("app.cancel")}</Button>
      </div>
    </form>
  );
}
