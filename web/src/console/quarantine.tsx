// Quarantine: what could not be kept, why, and a click that binds an unknown tag to a signal.
import { useState, type FormEvent } from "react";
import { Button, Modal, NumberInput, Select, TextInput } from "@mantine/core";
import { call, Problem } from "../api/client";
import { queryClient, useAsset, useAssets, useQuarantine } from "../api/queries";
import { useSend } from "../api/send";
import type { QuarantineRow } from "../api/types";
import { useSpeech } from "../i18n";
import { number, signalName, unitLabel } from "../i18n/format";
import { Age } from "../parts/marks";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";
import { SendProblem } from "../parts/transition";
import { ROW } from "./list_keys";

export default function Quarantine() {
  const { t } = useSpeech();
  const rows = useQuarantine();
  const [binding, setBinding] = useState<QuarantineRow | null>(null);
  return (
    <>
      <div className="page-head"><div><h1>{t("quarantine.title")}</h1><p>{t("quarantine.lead")}</p></div></div>
      <Await query={rows}>
        {(items) =>
          items.length === 0 ? (
            <div className="panel"><Empty title={t("quarantine.empty")} hint={t("quarantine.emptyHint")} /></div>
          ) : (
            <Table items={items} bind={setBinding} />
          )
        }
      </Await>
      {binding && <BindDialog row={binding} close={() => setBinding(null)} />}
    </>
  );
}

function Table({ items, bind }: { items: QuarantineRow[]; bind: (row: QuarantineRow) => void }) {
  const speech = useSpeech();
  const { t, say, code } = speech;
  return (
    <div className="scroll">
      <table className="list cards">
        <thead>
          <tr>
            <th scope="col">{t("quarantine.reason")}</th>
            <th scope="col">{t("quarantine.source")}</th>
            <th scope="col">{t("quarantine.tag")}</th>
            <th scope="col" className="num">{t("quarantine.count")}</th>
            <th scope="col">{t("quarantine.last")}</th>
            <th scope="col">{t("quarantine.sample")}</th>
            <th scope="col"><span className="hidden">{t("order.actions")}</span></th>
          </tr>
        </thead>
        <tbody>
          {items.map((row) => (
            <tr key={row.quarantine_id}>
              <th scope="row" style={{ maxWidth: 300 }}><strong>{code("reason", row.reason)}</strong>{row.detail && <div className="soft">{say(row.detail)}</div>}</th>
              <td className="nowrap" data-label={t("quarantine.source")}>{row.source}</td>
              <td style={{ overflowWrap: "anywhere", minWidth: 150 }} data-label={t("quarantine.tag")}>{row.tag || "–"}</td>
              <td className="num" data-label={t("quarantine.count")}>{number(row.count, speech)}</td>
              <td data-label={t("quarantine.last")}><Age at={row.last_at} time="wall" /></td>
              <td style={{ maxWidth: 280 }} data-label={t("quarantine.sample")}><Sample value={row.sample} /></td>
              <td>
                <div className="row" style={{ justifyContent: "flex-end", flexWrap: "nowrap" }}>
                  {row.bindable && <Button size="xs" onClick={() => bind(row)} {...{ [ROW]: "" }}>{t("quarantine.bind")}</Button>}
                  <Button size="xs" variant="default" onClick={() => void dismiss(row, t("quarantine.dismissed"))}>{t("quarantine.dismiss")}</Button>
                </div>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Sample({ value }: { value: unknown }) {
  const { t } = useSpeech();
  if (value === null || value === undefined) return <span className="soft">–</span>;
  const text = typeof value === "string" ? value : JSON.stringify(value);
  if (text.length <= 80) return <code className="small" style={{ overflowWrap: "anywhere" }}>{text}</code>;
  return (
    <details className="small">
      <summary>{t("quarantine.show")}</summary>
      <code style={{ overflowWrap: "anywhere" }}>{text}</code>
    </details>
  );
}

async function dismiss(row: QuarantineRow, done: string): Promise<void> {
  try {
    await call(`/quarantine/${row.quarantine_id}/dismiss`, { method: "POST", body: {} });
    toast(done);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    toast(error.message);
  }
  await queryClient.invalidateQueries({ queryKey: ["quarantine"] });
}

function BindDialog({ row, close }: { row: QuarantineRow; close: () => void }) {
  const speech = useSpeech();
  const { t } = speech;
  const assets = useAssets();
  const [assetId, setAssetId] = useState<string | null>(() => null);
  const guess = assetId ?? guessAsset(row.tag, assets.data ?? []);
  const asset = useAsset(guess ? Number(guess) : null);
  const [signalId, setSignalId] = useState<string | null>(null);
  const [unit, setUnit] = useState("");
  const [scale, setScale] = useState<number | string>(1);
  const [offset, setOffset] = useState<number | string>(0);
  const sender = useSend(`bind.${row.quarantine_id}`, async () => {
    toast(t("quarantine.bound"));
    close();
    await queryClient.invalidateQueries({ queryKey: ["quarantine"] });
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!signalId) return;
    const body = { signal_id: Number(signalId), unit: unit.trim() || undefined, scale: Number(scale), offset: Number(offset) };
    void sender.send(`/quarantine/${row.quarantine_id}/bind`, body);
  };
  const machines = (assets.data ?? []).map((one) => ({ value: String(one.asset_id), label: `${one.code} ${one.name}` }));
  const signals = (asset.data?.signals ?? []).map((one) => ({
    value: String(one.signal_id),
    label: `${signalName(one, speech)}${one.unit ? ` (${unitLabel(one.unit, speech)})` : ""}`,
  }));
  return (
    <Modal opened onClose={close} title={t("quarantine.bindTo", { tag: row.tag ?? row.source })} closeButtonProps={{ "aria-label": t("app.close") }}>
      <form className="stack" onSubmit={submit}>
        <Select
          label={t("quarantine.asset")} searchable data={machines} value={guess}
          onChange={(value) => { setAssetId(value); setSignalId(null); }}
        />
        <Select label={t("quarantine.signal")} searchable withAsterisk data={signals} value={signalId} onChange={setSignalId} disabled={!guess} />
        <TextInput label={t("quarantine.unit")} description={t("quarantine.unitHint")} value={unit} onChange={(event) => setUnit(event.currentTarget.value)} />
        <div className="row" style={{ flexWrap: "nowrap" }}>
          <NumberInput label={t("quarantine.scale")} value={scale} onChange={setScale} hideControls />
          <NumberInput label={t("quarantine.offset")} value={offset} onChange={setOffset} hideControls />
        </div>
        <SendProblem sender={sender} />
        <div className="row">
          <Button type="submit" disabled={!signalId} loading={sender.sending}>{t("quarantine.bind")}</Button>
          <Button variant="default" onClick={close}>{t("app.cancel")}</Button>
        </div>
      </form>
    </Modal>
  );
}

/** A tag often begins with its machine's code: offer that machine first. */
function guessAsset(tag: string | null, assets: { asset_id: number; code: string }[]): string | null {
  const hit = tag ? assets.find((one) => one.code && tag.toLowerCase().startsWith(one.code.toLowerCase())) : undefined;
  return hit ? String(hit.asset_id) : null;
}
