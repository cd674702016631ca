// A checklist in the engineer's hand: one line after another, an answer in one tap, kept at once, sent when it can be.
import { useState } from "react";
import { Button, NumberInput, Textarea } from "@mantine/core";
import { answer, needsPhoto, withWaiting, type Checklist, type Line, type Waiting } from "../api/work";
import { useSpeech, type Speech } from "../i18n";
import { unitLabel } from "../i18n/format";
import { FileButton, PICTURES } from "../parts/attachments";

type Props = { ticketId: number; list: Checklist; line: Line };
type Given = Parameters<typeof answer>[2];

export function ChecklistPanel({ ticketId, list, waiting }: { ticketId: number; list: Checklist; waiting: Waiting[] }) {
  const { t, say } = useSpeech();
  const shown = withWaiting(list, waiting);
  const lines = shown.lines.filter((line) => line.applies);
  const open = lines.filter((line) => line.lacks).length;
  return (
    <details className="panel fold checklist" open={open > 0}>
      <summary>
        <span>{say(list.title)}</span> <span className={`chip ${open ? "accent" : ""}`}>{open ? t("work.open", { n: open }) : t("work.complete")}</span>
      </summary>
      <ol>{lines.map((line) => <LineRow key={line.item.code} ticketId={ticketId} list={shown} line={line} />)}</ol>
    </details>
  );
}

function LineRow({ ticketId, list, line }: Props) {
  const speech = useSpeech();
  const { t, say } = speech;
  const [more, setMore] = useState(false);
  const give = (given: Omit<Given, "item">) => answer(ticketId, list.checklist_id, { photos: line.answer?.photos, ...given, item: line.item.code });
  const failed = line.answer?.outcome === "failed";
  return (
    <li className={line.answer ? `answered ${failed ? "failed" : ""}` : ""}>
      <p className="row between">
        <strong>{say(line.item.text)}</strong>
        {line.item.need === "optional" && <span className="soft small">{t("work.optional")}</span>}
      </p>
      <Field line={line} give={give} />
      {line.answer && (
        <p className="small">
          {failed ? "▲ " : "✓ "}{speech.code("outcome", line.answer.outcome)}{line.answer.note && ` · ${line.answer.note}`}
        </p>
      )}
      {line.lacks && line.answer && <p className="field-error">{say(line.lacks)}</p>}
      {line.follow_up && <a className="chip accent" href={`#/my/${line.follow_up}`}>{t("work.followUp")}</a>}
      {(line.item.type === "photo" || needsPhoto(line.item, line.answer)) && <Photo ticketId={ticketId} line={line} give={give} />}
      <button type="button" className="phrase" aria-expanded={more} onClick={() => setMore(!more)}>{t("work.otherwise")}</button>
      {more && <Otherwise line={line} give={(given) => { give(given); setMore(false); }} speech={speech} />}
    </li>
  );
}

function Field({ line, give }: { line: Line; give: (given: Omit<Given, "item">) => void }) {
  const { t, say } = useSpeech();
  const value = line.answer?.value ?? null;
  if (line.item.type === "tick") {
    return <Choices chosen={value === null ? null : String(value)} pick={(one) => give({ value: one === "true" })} options={[["true", t("work.yes")], ["false", t("work.no")]]} />;
  }
  if (line.item.type === "choice") {
    return <Choices chosen={value as string | null} pick={(one) => give({ value: one })} options={line.item.choices.map((one) => [one.value, say(one.label)])} />;
  }
  if (line.item.type === "number") return <Measured line={line} give={give} />;
  if (line.item.type === "text") return <Written line={line} give={give} />;
  return null;
}

function Choices({ options, chosen, pick }: { options: [string, string][]; chosen: string | null; pick: (value: string) => void }) {
  return (
    <div className="phrases">
      {options.map(([value, label]) => (
        <button key={value} type="button" className={`phrase ${chosen === value ? "chosen" : ""}`} aria-pressed={chosen === value} onClick={() => pick(value)}>{label}</button>
      ))}
    </div>
  );
}

/** What was answered, until somebody types; what somebody else answers meanwhile does not wipe it. */
function useTyped<T>(answered: T): [T, (next: T) => void] {
  const [typed, setTyped] = useState(answered);
  const [since, setSince] = useState(answered);
  if (since !== answered) {
    setSince(answered);
    if (typed === since) setTyped(answered);
  }
  return [typed, setTyped];
}

function Measured({ line, give }: { line: Line; give: (given: Omit<Given, "item">) => void }) {
  const speech = useSpeech();
  const [typed, setTyped] = useTyped<string | number>(typeof line.answer?.value === "number" ? line.answer.value : "");
  return (
    <div className="row">
      <NumberInput
        className="grow" size="md" aria-label={speech.say(line.item.text)} value={typed} onChange={setTyped} inputMode="decimal" hideControls
        suffix={line.item.unit ? ` ${unitLabel(line.item.unit, speech)}` : ""} description={limits(line, speech)}
      />
      <Button className="thumb" disabled={typeof typed !== "number" || typed === line.answer?.value} onClick={() => give({ value: Number(typed) })}>{speech.t("work.keep")}</Button>
    </div>
  );
}

function limits({ item }: Line, { t }: Speech): string | undefined {
  if (item.low !== null && item.high !== null) return t("work.between", { low: item.low, high: item.high });
  if (item.high !== null) return t("work.atMost", { high: item.high });
  return item.low !== null ? t("work.atLeast", { low: item.low }) : undefined;
}

function Written({ line, give }: { line: Line; give: (given: Omit<Given, "item">) => void }) {
  const { t, say } = useSpeech();
  const [typed, setTyped] = useTyped(String(line.answer?.value ?? ""));
  return (
    <div className="stack tight">
      <Textarea aria-label={say(line.item.text)} size="md" autosize minRows={2} value={typed} onChange={(event) => setTyped(event.currentTarget.value)} />
      <Button className="thumb" disabled={!typed.trim() || typed === line.answer?.value} onClick={() => give({ value: typed.trim() })}>{t("work.keep")}</Button>
    </div>
  );
}

function Photo({ ticketId, line, give }: { ticketId: number; line: Line; give: (given: Omit<Given, "item">) => void }) {
  const { t } = useSpeech();
  const photos = line.answer?.photos ?? [];
  const value = line.answer?.value ?? undefined;
  const label = photos.length ? t("work.photos", { n: photos.length }) : t("work.photo");
  return <FileButton ticketId={ticketId} label={label} accept={PICTURES} camera added={(file) => give({ value, photos: [...photos, file.attachment_id] })} />;
}

/** The line has failed although its answer is good, or does not apply: both with words. */
function Otherwise({ line, give, speech }: { line: Line; give: (given: Omit<Given, "item">) => void; speech: Speech }) {
  const { t } = speech;
  const [note, setNote] = useState(line.answer?.note ?? "");
  const value = line.answer?.value ?? undefined;
  const answered = line.answer !== null && line.answer.outcome !== "not_applicable";
  return (
    <div className="stack tight">
      <Textarea label={t("work.note")} size="md" autosize minRows={2} value={note} onChange={(event) => setNote(event.currentTarget.value)} />
      <div className="phrases">
        {answered && <button type="button" className="phrase" onClick={() => give({ value, note })}>{t("work.keep")}</button>}
        {answered && <button type="button" className="phrase" disabled={!note.trim()} onClick={() => give({ value, outcome: "failed", note })}>{speech.code("outcome", "failed")}</button>}
        <button type="button" className="phrase" disabled={!note.trim()} onClick={() => give({ outcome: "not_applicable", note })}>{speech.code("outcome", "not_applicable")}</button>
      </div>
    </div>
  );
}
