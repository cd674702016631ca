// Kits: which parts a job of an asset class and failure mode needs; orders reserve them when they open.
import { useState } from "react";
import { Button, NativeSelect, NumberInput, Select } from "@mantine/core";
import { call } from "../api/client";
import { readKits, refreshStock, useKits, usePartList, type KitLine, type Part } from "../api/dispatch";
import { useFailureCodes, type FailureCode } from "../api/settings";
import { useSpeech, type Speech } from "../i18n";
import { number } from "../i18n/format";
import { useDraft } from "../parts/draft";
import { Head, isUnseen, Overtaken, Refused, useJob, type Lines } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";
import { ROW } from "./list_keys";

const ANY = "*";
type Wanted = { part_id: number | null; quantity: number };
type Kit = { asset_class: string; mode: string; parts: Wanted[] };
type Stood = Kit & { version: number; changed_by: string };

function kitsOf(lines: KitLine[]): Stood[] {
  const found = new Map<string, Stood>();
  for (const { asset_class, mode, part_id, quantity, version, changed_by } of lines) {
    const kit = found.get(`${asset_class} ${mode}`) ?? { asset_class, mode, parts: [], version, changed_by };
    kit.parts.push({ part_id, quantity });
    found.set(`${asset_class} ${mode}`, kit);
  }
  return [...found.values()];
}

function forWhat(kit: Kit, speech: Speech): string {
  const { t, code } = speech;
  const asset = kit.asset_class === ANY ? t("kits.everyClass") : code("class", kit.asset_class);
  return `${asset} · ${kit.mode === ANY ? t("kits.everyMode") : code("mode", kit.mode)}`;
}

export function Kits() {
  const speech = useSpeech();
  const { t } = speech;
  const kits = useKits();
  const parts = usePartList();
  const codes = useFailureCodes();
  const [chosen, setChosen] = useState<Stood | "new" | null>(null);
  const name = (id: number | null) => parts.data?.find((one) => one.part_id === id);
  const told = (kit: Kit) => kit.parts.map((one) => `${number(one.quantity, speech)} × ${name(one.part_id)?.code ?? "–"}`).join(", ");
  return (
    <>
      <Head title={t("stock.kits")} lead={t("kits.lead")} back={t("stock.title")} backTo="#/stock">
        <Button disabled={!parts.data?.length} onClick={() => setChosen("new")}>{t("kits.new")}</Button>
      </Head>
      {chosen && <KitForm key={chosen === "new" ? "" : forWhat(chosen, speech)} kit={chosen === "new" ? null : chosen} parts={parts.data ?? []} codes={codes.data ?? []} told={told} close={() => setChosen(null)} />}
      <Await query={kits}>
        {(lines) => lines.length === 0 ? <div className="panel"><Empty title={t("kits.empty")} hint={t("kits.emptyHint")} /></div> : (
          <div className="scroll">
            <table className="list cards middle">
              <thead><tr><th scope="col">{t("kits.for")}</th><th scope="col">{t("stock.parts")}</th><th scope="col">{t("setting.actions")}</th></tr></thead>
              <tbody>
                {kitsOf(lines).map((kit) => (
                  <tr key={forWhat(kit, speech)}>
                    <th scope="row"><strong>{forWhat(kit, speech)}</strong></th>
                    <td data-label={t("stock.parts")}>{told(kit)}</td>
                    <td data-label={t("setting.actions")}><Button size="xs" variant="default" aria-label={`${t("setting.change")} ${forWhat(kit, speech)}`} onClick={() => setChosen(kit)} {...{ [ROW]: "" }}>{t("setting.change")}</Button></td>
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

function KitForm({ kit, parts, codes, told, close }: { kit: Stood | null; parts: Part[]; codes: FailureCode[]; told: (kit: Kit) => string; close: () => void }) {
  const speech = useSpeech();
  const { t, code, say } = speech;
  const job = useJob();
  const [assetClass, setAssetClass] = useState(kit?.asset_class ?? ANY);
  const [mode, setMode] = useState(kit?.mode ?? ANY);
  const [found, setFound] = useState<Stood | null>(null); // as it stands, once it was asked for
  const { draft: wanted, set: setWanted, base, version, theirs, take, keep } = useDraft<Stood, Wanted[]>(found ?? kit, (one) => one.parts, () => [{ part_id: null, quantity: 1 }]);
  const modes = codes.filter((one) => one.part === "mode");
  const classes = [...new Set([...modes.map((one) => one.asset_class).filter(Boolean), assetClass])].filter((one) => one !== ANY).sort();
  const inClass = new Map(modes.filter((one) => assetClass === ANY || !one.asset_class || one.asset_class === assetClass).map((one) => [one.code, say(one.name)]));
  if (mode !== ANY && !inClass.has(mode)) inClass.set(mode, code("mode", mode));
  const mine: Kit = { asset_class: assetClass, mode, parts: wanted };
  const put = (at: number, some: Partial<Wanted>) => setWanted(wanted.map((one, row) => (row === at ? { ...one, ...some } : one)));
  const good = wanted.every((one) => one.part_id !== null && one.quantity > 0) && new Set(wanted.map((one) => one.part_id)).size === wanted.length;
  const send = (items: Wanted[]) => job.run(async () => {
    try {
      await call("/kits", { method: "PUT", version: base && base.asset_class === assetClass && base.mode === mode ? version : undefined, body: { asset_class: assetClass, mode, parts: items } });
    } catch (error) {
      if (isUnseen(error as never)) setFound(kitsOf(await readKits()).find((one) => one.asset_class === assetClass && one.mode === mode) ?? null);
      throw error;
    }
    await refreshStock();
    toast(t("stock.saved", { what: forWhat(mine, speech) }));
    close();
  });
  const settle = (way: () => void) => {
    way();
    job.clear();
  };
  const lines = (one: Kit): Lines => ({ [t("stock.parts")]: told(one) });
  return (
    <form className="panel stack" style={{ marginBottom: 16 }} onSubmit={(event) => { event.preventDefault(); void send(wanted); }}>
      <h2>{kit ? forWhat(kit, speech) : t("kits.new")}</h2>
      <div className="row">
        <NativeSelect
          label={t("kits.class")} disabled={kit !== null} value={assetClass} onChange={(event) => { setAssetClass(event.currentTarget.value); setMode(ANY); }}
          data={[{ value: ANY, label: t("kits.everyClass") }, ...classes.map((value) => ({ value, label: code("class", value) }))]}
        />
        <NativeSelect
          label={t("kits.mode")} disabled={kit !== null} value={mode} onChange={(event) => setMode(event.currentTarget.value)}
          data={[{ value: ANY, label: t("kits.everyMode") }, ...[...inClass].map(([value, label]) => ({ value, label }))]}
        />
      </div>
      {wanted.map((one, at) => (
        <div key={at} className="row" role="group" aria-label={t("kits.line", { n: at + 1 })} style={{ alignItems: "flex-end" }}>
          <Select
            label={t("stock.part")} searchable value={one.part_id === null ? null : String(one.part_id)} onChange={(value) => put(at, { part_id: value === null ? null : Number(value) })}
            data={parts.map((each) => ({ value: String(each.part_id), label: `${each.code} ${each.name}` }))}
          />
          <NumberInput label={t("parts.quantity")} w={110} min={0} hideControls value={one.quantity} onChange={(value) => put(at, { quantity: Number(value) || 0 })} />
          <Button variant="default" aria-label={`${t("setting.remove")} ${t("kits.line", { n: at + 1 })}`} onClick={() => setWanted(wanted.filter((_, row) => row !== at))}>×</Button>
        </div>
      ))}
      <div><Button size="xs" variant="default" onClick={() => setWanted([...wanted, { part_id: null, quantity: 1 }])}>{t("kits.add")}</Button></div>
      {theirs
        ? <Overtaken by={theirs.changed_by} mine={lines(mine)} theirs={lines(theirs)} take={() => settle(take)} keep={() => settle(keep)} />
        : <Refused problem={job.problem} />}
      <div className="row">
        <Button type="submit" loading={job.busy} disabled={!good || wanted.length === 0}>{t("app.save")}</Button>
        {kit && <Button variant="default" loading={job.busy} onClick={() => void send([])}>{t("kits.drop")}</Button>}
        <Button variant="default" onClick={close}>{t("app.cancel")}</Button>
      </div>
    </form>
  );
}
