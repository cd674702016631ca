// What the engineer leaves behind at the machine: checklists, files, time, a signature.
import { useRef, useState, type PointerEvent } from "react";
import { Button, NumberInput, SegmentedControl, TextInput } from "@mantine/core";
import { plantNow } from "../api/clock";
import type { Me, Ticket } from "../api/types";
import { enter, forget, useWaiting, useWork, type Waiting, type Work } from "../api/work";
import { useSpeech } from "../i18n";
import { fullMoment, span } from "../i18n/format";
import { AttachmentsPanel } from "../parts/attachments";
import { Signatures } from "../parts/work_done";
import { ChecklistPanel } from "./checklist";

const USUAL_MIN = [15, 30, 60, 120];

export function WorkPanels({ ticket, me }: { ticket: Ticket; me: Me }) {
  const work = useWork(ticket.ticket_id);
  const waiting = useWaiting(ticket.ticket_id);
  return (
    <>
      <WaitingNote waiting={waiting} />
      {work.data?.checklists.map((list) => <ChecklistPanel key={list.checklist_id} ticketId={ticket.ticket_id} list={list} waiting={waiting} />)}
      <AttachmentsPanel ticketId={ticket.ticket_id} id="files" />
      {work.data && me.engineer_id !== null && <LabourPanel work={work.data} />}
      {work.data && <SignaturePanel work={work.data} />}
    </>
  );
}

function WaitingNote({ waiting }: { waiting: Waiting[] }) {
  const { t } = useSpeech();
  const refused = waiting.filter((one) => one.refused !== undefined);
  if (waiting.length === 0) return null;
  return (
    <section className="panel stack tight" role="status">
      {waiting.length > refused.length && <p>{t("work.waiting", { n: waiting.length - refused.length })}</p>}
      {refused.map((one) => (
        <div key={one.id} className="stack tight">
          <p className="field-error">{one.refused}</p>
          <Button variant="default" className="thumb" onClick={() => forget(one.id)}>{t("work.dismiss")}</Button>
        </div>
      ))}
    </section>
  );
}

function LabourPanel({ work }: { work: Work }) {
  const speech = useSpeech();
  const { t } = speech;
  const [minutes, setMinutes] = useState<string | number>("");
  const entries = work.labour.filter((one) => one.voided_at === null);
  const keep = (count: number) => {
    const began = new Date(plantNow() - count * 60_000).toISOString();
    enter(work.ticket_id, `/tickets/${work.ticket_id}/labour`, { began_at: began, minutes: count });
    setMinutes("");
  };
  return (
    <details className="panel fold">
      <summary>{t("work.time")} <span className="soft small">{t("work.total", { n: entries.reduce((sum, one) => sum + one.minutes, 0) })}</span></summary>
      <ul className="stack tight">
        {entries.map((one) => <li key={one.labour_id}>{one.engineer} · {t("work.minutes", { n: one.minutes })} · <span className="soft small">{fullMoment(one.began_at, speech)}</span></li>)}
      </ul>
      <p className="soft small">{t("work.timeHint")}</p>
      <div className="phrases">
        {USUAL_MIN.map((count) => <button key={count} type="button" className="phrase" onClick={() => keep(count)}>{t("work.minutes", { n: count })}</button>)}
      </div>
      <div className="row">
        <NumberInput className="grow" size="md" label={t("work.otherTime")} value={minutes} onChange={setMinutes} min={1} max={1440} allowDecimal={false} hideControls inputMode="numeric" />
        <Button className="thumb" disabled={typeof minutes !== "number"} onClick={() => keep(Number(minutes))}>{t("work.keep")}</Button>
      </div>
      <Stood work={work} />
    </details>
  );
}

/** When the machine stood, until now; an exact span is the planner's to enter. */
function Stood({ work }: { work: Work }) {
  const speech = useSpeech();
  const { t } = speech;
  const keep = (count: number) => {
    const now = plantNow();
    const stood = { began_at: new Date(now - count * 60_000).toISOString(), ended_at: new Date(now).toISOString() };
    enter(work.ticket_id, `/tickets/${work.ticket_id}/downtime`, stood);
  };
  return (
    <div className="stack tight" role="group" aria-label={t("work.downtime")}>
      <h3>{t("work.downtime")} {work.downtime_s !== null && <span className="soft small">{span(work.downtime_s / 3600, speech)}</span>}</h3>
      <div className="phrases">
        {USUAL_MIN.map((count) => <button key={count} type="button" className="phrase" onClick={() => keep(count)}>{t("work.untilNow", { n: count })}</button>)}
      </div>
    </div>
  );
}

function SignaturePanel({ work }: { work: Work }) {
  const { t } = useSpeech();
  return (
    <details className="panel fold">
      <summary>{t("work.signature")} <span className="soft small">{work.signatures.length || ""}</span></summary>
      <Signatures signatures={work.signatures} />
      <SignForm work={work} />
    </details>
  );
}

function SignForm({ work }: { work: Work }) {
  const { t, code } = useSpeech();
  const [name, setName] = useState("");
  const [purpose, setPurpose] = useState("accepted");
  const [strokes, setStrokes] = useState("");
  const [seen] = useState(work.head_hash); // what was on the screen when the form was opened
  const save = () => {
    const signed_at = new Date(plantNow()).toISOString();
    enter(work.ticket_id, `/tickets/${work.ticket_id}/signatures`, { purpose, name: name.trim(), strokes, seen, signed_at });
    setStrokes("");
    setName("");
  };
  return (
    <div className="stack">
      <SegmentedControl fullWidth size="lg" value={purpose} onChange={setPurpose} data={["accepted", "performed"].map((value) => ({ value, label: code("purpose", value) }))} />
      <TextInput size="md" label={t("work.name")} value={name} onChange={(event) => setName(event.currentTarget.value)} />
      <Pad strokes={strokes} set={setStrokes} />
      <div className="row">
        <Button variant="default" className="thumb" disabled={!strokes} onClick={() => setStrokes("")}>{t("work.clear")}</Button>
        <Button className="thumb grow" disabled={!name.trim() || !strokes} onClick={save}>{t("work.sign")}</Button>
      </div>
    </div>
  );
}

/** Draws with finger, pen or mouse, in units of the picture, not of the screen. */
function Pad({ strokes, set }: { strokes: string; set: (path: string) => void }) {
  const { t } = useSpeech();
  const board = useRef<SVGSVGElement>(null);
  const drawing = useRef(false);
  const at = (event: PointerEvent): string => {
    const box = board.current?.getBoundingClientRect();
    if (!box) return "0 0";
    const along = (share: number, whole: number) => Math.min(whole, Math.max(0, share * whole)).toFixed(1);
    return `${along((event.clientX - box.left) / box.width, 320)} ${along((event.clientY - box.top) / box.height, 120)}`;
  };
  const begin = (event: PointerEvent) => {
    event.currentTarget.setPointerCapture(event.pointerId);
    drawing.current = true;
    set(`${strokes}${strokes ? " " : ""}M${at(event)}`);
  };
  const move = (event: PointerEvent) => {
    if (drawing.current && strokes.length < 38_000) set(`${strokes} L${at(event)}`);
  };
  return (
    <svg
      ref={board} viewBox="0 0 320 120" className="signature pad" role="img" aria-label={t("work.pad")}
      onPointerDown={begin} onPointerMove={move} onPointerUp={() => (drawing.current = false)} onPointerCancel={() => (drawing.current = false)}
    >
      {!strokes && <text x="160" y="66" textAnchor="middle">{t("work.pad")}</text>}
      <path d={strokes} />
    </svg>
  );
}
