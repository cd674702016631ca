// Stock: what is where, what of it is promised, and what is asked for.
import { useState } from "react";
import { Button, TextInput } from "@mantine/core";
import { call, Problem } from "../api/client";
import { refreshStock, useLevels, usePurchases, type Level, type Purchase } from "../api/dispatch";
import type { Me } from "../api/types";
import { useSpeech } from "../i18n";
import { number } from "../i18n/format";
import { Age } from "../parts/marks";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";
import { ROW } from "./list_keys";
import { Places, StockSetup } from "./stock_setup";

export default function Stock({ path, me }: { path: string[]; me: Me }) {
  const { t } = useSpeech();
  const mayKeep = me.role !== "engineer" && me.role !== "agent";
  if (path.length === 0) return <Overview mayKeep={mayKeep} />;
  return mayKeep ? <StockSetup path={path} /> : <Empty title={t("app.notFound")} />;
}

function Overview({ mayKeep }: { mayKeep: boolean }) {
  const { t } = useSpeech();
  const levels = useLevels();
  const purchases = usePurchases(false);
  const [text, setText] = useState("");
  const wanted = text.trim().toLowerCase();
  return (
    <>
      <div className="page-head"><div><h1>{t("stock.title")}</h1><p>{t("stock.lead")}</p></div>{mayKeep && <Places />}</div>
      <Await query={purchases}>{(found) => (found.items.length === 0 ? null : <Asked items={found.items} mayKeep={mayKeep} />)}</Await>
      <TextInput label={t("stock.find")} value={text} onChange={(event) => setText(event.target.value)} mb="sm" style={{ maxWidth: 360 }} />
      <Await query={levels}>
        {(found) => {
          const items = found.items.filter((each) => `${each.code} ${each.name}`.toLowerCase().includes(wanted));
          return items.length === 0 ? <div className="panel"><Empty title={t("stock.none")} hint={t("stock.noneHint")} /></div> : <Levels items={items} />;
        }}
      </Await>
    </>
  );
}

function Levels({ items }: { items: Level[] }) {
  const speech = useSpeech();
  const { t } = speech;
  return (
    <div className="scroll">
      <table className="list cards">
        <thead>
          <tr>
            <th scope="col">{t("stock.part")}</th><th scope="col">{t("stock.store")}</th>
            <th scope="col" className="num">{t("stock.onHand")}</th><th scope="col" className="num">{t("stock.reserved")}</th>
            <th scope="col" className="num">{t("stock.free")}</th><th scope="col" className="num">{t("stock.minimum")}</th>
            <th scope="col">{t("stock.state")}</th>
          </tr>
        </thead>
        <tbody>
          {items.map((each) => (
            <tr key={`${each.store_id}.${each.part_id}`}>
              <th scope="row"><strong>{each.code}</strong> {each.name}</th><td data-label={t("stock.store")}>{each.store}</td>
              <td className="num" data-label={t("stock.onHand")}>{number(each.on_hand, speech)} {each.unit}</td><td className="num" data-label={t("stock.reserved")}>{number(each.reserved, speech)}</td>
              <td className="num" data-label={t("stock.free")}>{number(each.free, speech)}</td><td className="num" data-label={t("stock.minimum")}>{number(each.minimum, speech)}</td>
              <td data-label={t("stock.state")}><span>{each.free < each.minimum ? `▼ ${t("stock.short")}` : t("stock.enough")}{each.asked_for > 0 && ` · ${t("stock.asked", { n: number(each.asked_for, speech) })}`}</span></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Asked({ items, mayKeep }: { items: Purchase[]; mayKeep: boolean }) {
  const speech = useSpeech();
  const { t, code } = speech;
  return (
    <section className="panel" style={{ marginBottom: 16 }}>
      <h2>{t("stock.purchases")}</h2>
      <ul>
        {items.map((each) => (
          <li key={each.request_id}>
            <strong>{each.code}</strong> {each.name}: {number(each.quantity, speech)} · {code("purchaseStatus", each.status)} · <Age at={each.made_at} />{" "}
            {mayKeep && each.status === "open" && <Button size="compact-xs" variant="default" onClick={() => void settle(each, "ordered")} {...{ [ROW]: "" }}>{t("stock.order")}</Button>}{" "}
            {mayKeep && <Button size="compact-xs" variant="default" onClick={() => void settle(each, "received")}>{t("stock.receive")}</Button>}
          </li>
        ))}
      </ul>
    </section>
  );
}

async function settle(wanted: Purchase, status: string): Promise<void> {
  try {
    await call(`/purchase-requests/${wanted.request_id}`, { method: "PATCH", body: { status } });
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    toast(error.detail || error.message);
  }
  await refreshStock();
}
