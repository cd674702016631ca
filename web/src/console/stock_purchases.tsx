// Purchase requests: what is asked for, since when, in which state, and until when it should come.
import { useState } from "react";
import { Button, TextInput } from "@mantine/core";
import { call } from "../api/client";
import { refreshStock, usePurchases, useStores, type Purchase } from "../api/dispatch";
import { useSpeech } from "../i18n";
import { fullMoment, number } from "../i18n/format";
import { Age } from "../parts/marks";
import { Head, Refused, useJob } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { ROW } from "./list_keys";

export function Purchases() {
  const { t } = useSpeech();
  const open = usePurchases(false);
  const settled = usePurchases(true);
  return (
    <>
      <Head title={t("stock.purchases")} lead={t("buy.lead")} back={t("stock.title")} backTo="#/stock" />
      <Await query={open}>
        {({ items }) => items.length === 0 ? <div className="panel"><Empty title={t("buy.none")} /></div> : <Table items={items} label={t("stock.purchases")} />}
      </Await>
      <h2 style={{ margin: "24px 0 12px" }}>{t("buy.settled")}</h2>
      <Await query={settled}>
        {({ items }) => items.length === 0 ? <div className="panel"><Empty title={t("buy.noneSettled")} /></div> : <Table items={items} label={t("buy.settled")} />}
      </Await>
    </>
  );
}

function Table({ items, label }: { items: Purchase[]; label: string }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const stores = useStores();
  const job = useJob();
  return (
    <>
      <Refused problem={job.problem} />
      <div className="scroll">
        <table className="list cards middle">
          <caption className="hidden">{label}</caption>
          <thead>
            <tr>
              <th scope="col">{t("stock.part")}</th><th scope="col">{t("stock.store")}</th><th scope="col" className="num">{t("parts.quantity")}</th>
              <th scope="col">{t("stock.state")}</th><th scope="col">{t("buy.asked")}</th><th scope="col">{t("buy.expected")}</th><th scope="col">{t("setting.actions")}</th>
            </tr>
          </thead>
          <tbody>
            {items.map((one) => (
              <tr key={one.request_id}>
                <th scope="row"><strong>{one.code}</strong> {one.name}</th>
                <td data-label={t("stock.store")}>{stores.data?.find((each) => each.store_id === one.store_id)?.name ?? "–"}</td>
                <td data-label={t("parts.quantity")} className="num">{number(one.quantity, speech)}</td>
                <td data-label={t("stock.state")}><span className="chip">{code("purchaseStatus", one.status)}</span></td>
                <td data-label={t("buy.asked")}><Age at={one.made_at} /></td>
                <td data-label={t("buy.expected")}>{one.expected_at ? fullMoment(one.expected_at, speech) : "–"}</td>
                <td data-label={t("setting.actions")}><Steps one={one} run={(body) => job.run(async () => { try { await call(`/purchase-requests/${one.request_id}`, { method: "PATCH", body }); } finally { await refreshStock(); } })} /></td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function Steps({ one, run }: { one: Purchase; run: (body: { status: string; expected_at?: string }) => Promise<void> }) {
  const { t } = useSpeech();
  const [day, setDay] = useState("");
  if (one.status !== "open" && one.status !== "ordered") return <>–</>;
  const step = (status: string, label: string, more = {}) => (
    <Button size="xs" variant="default" aria-label={`${label} ${one.code}`} onClick={() => void run({ status, ...more })} {...{ [ROW]: "" }}>{label}</Button>
  );
  return (
    <span className="row" style={{ justifyContent: "flex-end" }}>
      {one.status === "open" && <TextInput type="date" size="xs" aria-label={`${t("buy.expected")} ${one.code}`} value={day} onChange={(event) => setDay(event.currentTarget.value)} />}
      {one.status === "open" && step("ordered", t("stock.order"), day ? { expected_at: `${day}T12:00:00Z` } : {})}
      {step("received", t("stock.receive"))}
      {step("cancelled", t("buy.cancel"))}
    </span>
  );
}
