// Alarms: what is wrong now, what holds it, what it has in common with others. Grey while nothing is asked of anybody.
import { useState, type FormEvent } from "react";
import { Button, Checkbox, Modal, NativeSelect, TextInput } from "@mantine/core";
import { useAlarms, type AlarmRow, type AlarmWish } from "../api/alarms";
import { call, Problem } from "../api/client";
import { plantNow } from "../api/clock";
import { queryClient } from "../api/queries";
import { useSend } from "../api/send";
import type { Me } from "../api/types";
import { useSpeech } from "../i18n";
import { Age } from "../parts/marks";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";
import { SendProblem } from "../parts/transition";
import { Feeds } from "./alarm_feeds";
import { GroupPage, Groups } from "./alarm_groups";
import { Holds } from "./alarm_holds";
import { Severity } from "./alarm_parts";
import HygienePage from "./alarm_hygiene";
import { Suppress } from "./alarm_suppress";
import { Tunings } from "./alarm_tunings";
import { Works } from "./alarm_works";
import { ROW } from "./list_keys";

const VIEWS = ["list", "groups", "held", "hygiene", "works", "suppression", "tuning", "feeds"] as const;
const STATES = ["open", "active", "acknowledged", "shelved", "cleared"] as const;
const HELD = ["free", "any", ""] as const;
const HOURS = ["1", "8", "24", "72", "168"];
const HOUR_MS = 3_600_000;
const MANAGERS = ["planner", "manager", "admin"];

export default function Alarms({ path, me }: { path: string[]; me: Me }) {
  const { t } = useSpeech();
  const view = VIEWS.find((name) => name === path[0]) ?? "list";
  const designs = MANAGERS.includes(me.role);
  return (
    <>
      <div className="page-head"><div><h1>{t("alarms.title")}</h1><p>{t("alarms.lead")}</p></div></div>
      <nav className="row" style={{ marginBottom: 14 }} aria-label={t("alarms.views")}>
        {VIEWS.map((name) => (
          <Button
            key={name} component="a" href={name === "list" ? "#/alarms" : `#/alarms/${name}`} size="xs"
            variant={name === view ? "filled" : "default"} aria-current={name === view ? "page" : undefined}
          >
            {t(`alarmView.${name}`)}
          </Button>
        ))}
      </nav>
      {view === "list" && <List me={me} />}
      {view === "groups" && (path[1] ? <GroupPage groupId={Number(path[1])} /> : <Groups />)}
      {view === "held" && <Holds />}
      {view === "hygiene" && <HygienePage />}
      {view === "works" && <Works assetId={Number(path[1]) || null} may={me.role !== "agent"} />}
      {view === "suppression" && <Suppress may={designs} />}
      {view === "tuning" && <Tunings may={designs} />}
      {view === "feeds" && <Feeds may={designs} />}
    </>
  );
}

function List({ me }: { me: Me }) {
  const { t, code } = useSpeech();
  const [wish, setWish] = useState<AlarmWish>({ state: "open", held: "free", severity: "" });
  const [shelving, setShelving] = useState<AlarmRow | null>(null);
  const rows = useAlarms(wish);
  const change = (name: keyof AlarmWish) => (event: FormEvent<HTMLSelectElement>) => {
    const { value } = event.currentTarget;
    setWish((before) => ({ ...before, [name]: value }));
  };
  return (
    <>
      <div className="row" style={{ marginBottom: 12 }}>
        <NativeSelect
          label={t("alarms.state")} value={wish.state} onChange={change("state")}
          data={STATES.map((value) => ({ value, label: value === "open" ? t("alarms.open") : code("alarm", value) }))}
        />
        <NativeSelect
          label={t("alarms.held")} value={wish.held} onChange={change("held")}
          data={HELD.map((value) => ({ value, label: t(`alarmHeld.${value || "all"}`) }))}
        />
        <NativeSelect
          label={t("alarms.severity")} value={wish.severity} onChange={change("severity")}
          data={[{ value: "", label: t("alarms.anySeverity") }, ...["1", "2", "3"].map((value) => ({ value, label: code("severity", value) }))]}
        />
      </div>
      <Await query={rows}>
        {(page) =>
          page.items.length === 0 ? (
            <div className="panel"><Empty title={t("alarms.empty")} hint={t("alarms.emptyHint")} /></div>
          ) : (
            <Table items={page.items} me={me} shelve={setShelving} />
          )
        }
      </Await>
      {shelving && <ShelveDialog alarm={shelving} close={() => setShelving(null)} />}
    </>
  );
}

function Table({ items, me, shelve }: { items: AlarmRow[]; me: Me; shelve: (row: AlarmRow) => void }) {
  const { t } = useSpeech();
  return (
    <div className="scroll">
      <table className="list cards">
        <thead>
          <tr>
            <th scope="col">{t("alarms.severity")}</th>
            <th scope="col">{t("alarms.machine")}</th>
            <th scope="col">{t("alarms.what")}</th>
            <th scope="col">{t("alarms.since")}</th>
            <th scope="col">{t("alarms.state")}</th>
            <th scope="col">{t("alarms.order")}</th>
            <th scope="col"><span className="hidden">{t("order.actions")}</span></th>
          </tr>
        </thead>
        <tbody>{items.map((row) => <Row key={row.alarm_id} row={row} me={me} shelve={shelve} />)}</tbody>
      </table>
    </div>
  );
}

function Row({ row, me, shelve }: { row: AlarmRow; me: Me; shelve: (row: AlarmRow) => void }) {
  const { t, say } = useSpeech();
  return (
    <tr>
      <td data-label={t("alarms.severity")}><Severity value={row.severity} quiet={row.held !== "" || row.state !== "active"} /></td>
      <th scope="row">
        <a className="title" href={`#/predictions/${row.alarm_id}`} {...{ [ROW]: "" }}>{row.asset.code}</a>
        <div className="soft small">{row.asset.name}</div>
      </th>
      <td data-label={t("alarms.what")} style={{ minWidth: 220 }}>
        {row.mode && <strong>{say(row.mode.name)}</strong>}
        {row.sentence && <div className="soft small">{say(row.sentence)}</div>}
      </td>
      <td data-label={t("alarms.since")}><Age at={row.started_at} /></td>
      <td data-label={t("alarms.state")}><State row={row} /></td>
      <td data-label={t("alarms.order")}>
        {row.ticket ? <a href={`#/orders/${row.ticket.ticket_id}`}>{row.ticket.ref}</a> : <span className="soft">–</span>}
      </td>
      <td><Actions row={row} me={me} shelve={shelve} /></td>
    </tr>
  );
}

function State({ row }: { row: AlarmRow }) {
  const { t, code } = useSpeech();
  return (
    <div className="stack tight">
      <span>{code("alarm", row.state)}</span>
      {row.returned_at && row.state !== "cleared" && <span className="soft small">{t("alarms.returned")}</span>}
      {row.held && <span className="chip">{code("alarmHold", row.held)}</span>}
      {row.state === "shelved" && <span className="soft small">{row.shelved_by}: {row.shelve_reason}</span>}
      {row.returns > 0 && <span className="soft small">{t("alarms.returns", { n: row.returns })}</span>}
      {row.chatter_at && <span className="chip">{t("alarms.chatters")}</span>}
      {row.stale_at && <span className="chip">{t("alarms.stands")}</span>}
    </div>
  );
}

function Actions({ row, me, shelve }: { row: AlarmRow; me: Me; shelve: (row: AlarmRow) => void }) {
  const { t } = useSpeech();
  const manages = MANAGERS.includes(me.role);
  if (me.role === "agent" || row.state === "cleared") return null;
  return (
    <div className="row" style={{ justifyContent: "flex-end" }}>
      {row.state === "active" && <Button size="xs" variant="default" onClick={() => void act(row, "acknowledge", t("alarms.acknowledged"))}>{t("alarm.acknowledge")}</Button>}
      {manages && row.state !== "shelved" && <Button size="xs" variant="default" onClick={() => shelve(row)}>{t("alarms.shelve")}</Button>}
      {manages && row.state === "shelved" && <Button size="xs" variant="default" onClick={() => void act(row, "unshelve", t("alarms.unshelved"))}>{t("alarms.unshelve")}</Button>}
    </div>
  );
}

async function act(row: AlarmRow, verb: "acknowledge" | "unshelve", done: string): Promise<void> {
  try {
    await call(`/alarms/${row.alarm_id}/${verb}`, { method: "POST", body: {} });
    toast(done);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    toast(error.message);
  }
  await queryClient.invalidateQueries({ queryKey: ["alarm"] });
}

function ShelveDialog({ alarm, close }: { alarm: AlarmRow; close: () => void }) {
  const { t } = useSpeech();
  const [reason, setReason] = useState("");
  const [hours, setHours] = useState("8");
  const [once, setOnce] = useState(false);
  const sender = useSend(`shelve.${alarm.alarm_id}`, async () => {
    toast(t("alarms.shelved"));
    close();
    await queryClient.invalidateQueries({ queryKey: ["alarm"] });
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const until = new Date(plantNow() + Number(hours) * HOUR_MS).toISOString();
    void sender.send(`/alarms/${alarm.alarm_id}/${once ? "shelve-once" : "shelve"}`, { until, reason: reason.trim() });
  };
  return (
    <Modal opened onClose={close} title={t("alarms.shelveTitle", { asset: alarm.asset.code })} closeButtonProps={{ "aria-label": t("app.close") }}>
      <form className="stack" onSubmit={submit}>
        <TextInput
          label={t("alarms.reason")} description={t("alarms.reasonHint")} withAsterisk minLength={3} data-autofocus
          value={reason} onChange={(event) => setReason(event.currentTarget.value)}
        />
        <NativeSelect
          label={t("alarms.until")} value={hours} onChange={(event) => setHours(event.currentTarget.value)}
          data={HOURS.map((value) => ({ value, label: t("alarms.hours", { n: value }) }))}
        />
        <Checkbox label={t("alarms.once")} checked={once} onChange={(event) => setOnce(event.currentTarget.checked)} />
        <SendProblem sender={sender} />
        <div className="row" style={{ justifyContent: "flex-end" }}>
          <Button variant="default" onClick={close}>{t("app.cancel")}</Button>
          <Button type="submit" loading={sender.sending} disabled={reason.trim().length < 3}>{t("alarms.shelve")}</Button>
        </div>
      </form>
    </Modal>
  );
}
