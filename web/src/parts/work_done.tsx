// What was done at the machine, to read: lines with their answers, time, cost, signatures.
import { useWork, type Checklist, type Line, type Signature, type Work } from "../api/work";
import { useSpeech } from "../i18n";
import { fullMoment, number, quantity, span } from "../i18n/format";

const MARKS = { ok: "✓", failed: "▲", not_applicable: "–" } as const;

export function WorkDone({ ticketId }: { ticketId: number }) {
  const { t } = useSpeech();
  const work = useWork(ticketId);
  if (!work.data || isEmpty(work.data)) return null;
  return (
    <section className="panel stack">
      <h2>{t("work.done")}</h2>
      {work.data.checklists.map((list) => <Answers key={list.checklist_id} list={list} />)}
      <Sums work={work.data} />
      <Signatures signatures={work.data.signatures} />
    </section>
  );
}

function isEmpty(work: Work): boolean {
  return work.checklists.length + work.labour.length + work.signatures.length === 0 && work.downtime_s === null && work.cost === 0;
}

function Answers({ list }: { list: Checklist }) {
  const { t, say } = useSpeech();
  return (
    <div>
      <h3>{say(list.title)} <span className="soft small">{list.open ? t("work.open", { n: list.open }) : t("work.complete")}</span></h3>
      <ul className="stack tight">{list.lines.filter((line) => line.applies).map((line) => <Answered key={line.item.code} line={line} />)}</ul>
    </div>
  );
}

function Answered({ line }: { line: Line }) {
  const speech = useSpeech();
  const { t, say } = speech;
  return (
    <li className={line.answer?.outcome === "failed" ? "strong" : ""}>
      {line.answer ? MARKS[line.answer.outcome] : "○"} {say(line.item.text)}
      {line.answer && <span>: {valueOf(line, speech)}</span>}
      {line.answer?.note && <span className="soft"> · {line.answer.note}</span>}
      {line.lacks && <span className="soft small"> · {say(line.lacks)}</span>}
      {line.follow_up && <> <a href={`#/orders/${line.follow_up}`}>{t("work.followUp")}</a></>}
    </li>
  );
}

function valueOf({ item, answer }: Line, speech: ReturnType<typeof useSpeech>): string {
  const value = answer?.value;
  if (typeof value === "boolean") return speech.t(value ? "work.yes" : "work.no");
  if (typeof value === "number") return quantity(value, item.unit, speech);
  const choice = item.choices.find((one) => one.value === value);
  return choice ? speech.say(choice.label) : String(value ?? speech.code("outcome", answer?.outcome));
}

function Sums({ work }: { work: Work }) {
  const speech = useSpeech();
  const { t } = speech;
  const entries = work.labour.filter((one) => one.voided_at === null);
  return (
    <dl className="facts">
      {entries.length > 0 && (
        <><dt>{t("work.time")}</dt><dd>{entries.map((one) => <div key={one.labour_id}>{one.engineer}: {t("work.minutes", { n: one.minutes })} {one.note}</div>)}</dd></>
      )}
      {work.downtime_s !== null && <><dt>{t("work.downtime")}</dt><dd>{span(work.downtime_s / 3600, speech)}</dd></>}
      {work.cost > 0 && <><dt>{t("work.cost")}</dt><dd>{number(work.cost, speech)}</dd></>}
    </dl>
  );
}

export function Signatures({ signatures }: { signatures: Signature[] }) {
  const speech = useSpeech();
  const { t } = speech;
  return (
    <ul className="stack tight">
      {signatures.map((one) => (
        <li key={one.signature_id}>
          <svg viewBox="0 0 320 120" className="signature" role="img" aria-label={t("work.signedBy", { name: one.name })}><path d={one.strokes} /></svg>
          <p>{one.name} · {speech.code("purpose", one.purpose)} · <span className="soft small">{fullMoment(one.signed_at, speech)}</span></p>
          {!one.holds && <p className="field-error">{t("work.broken")}</p>}
          {one.since > 1 && <p className="soft small">{t("work.since", { n: one.since - 1 })}</p>}
        </li>
      ))}
    </ul>
  );
}

