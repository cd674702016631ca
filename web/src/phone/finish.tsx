// The closing form: verdict, fault, note. Three answers by thumb; nothing typed is ever lost.
import { useState, type FormEvent } from "react";
import { Button, NativeSelect, Textarea } from "@mantine/core";
import type { CustomValues } from "../api/kinds";
import { useTicket } from "../api/queries";
import { useStored } from "../api/send";
import type { Ticket } from "../api/types";
import { useSpeech } from "../i18n";
import { asked, outgoing, useFailureChoices, VERDICTS, type Values } from "../parts/fields";
import { Await } from "../parts/states";
import { toast } from "../parts/toasts";
import { firstValues, MoveProblem, StepFields, useTransition } from "../parts/transition";
import { go } from "../router";

const PHRASES = ["replaced", "cleaned", "adjusted", "lubricated", "tightened", "checked"] as const;
const CLOSING = ["verdict", "note"];

export default function Finish({ ticketId }: { ticketId: number }) {
  const ticket = useTicket(ticketId);
  return <Await query={ticket}>{(data) => <FinishForm key={data.ticket_id} ticket={data} />}</Await>;
}

function FinishForm({ ticket }: { ticket: Ticket }) {
  const { t } = useSpeech();
  const [values, setValues] = useStored<Values>(`draft.${ticket.ticket_id}.done`, firstValues(ticket));
  const [tried, setTried] = useState(false);
  const mover = useTransition(ticket, (answer) => {
    setValues({});
    setCustom({});
    toast(t(answer?.status === "closed" ? "my.doneClosed" : "my.done"));
    go(`/my/${ticket.ticket_id}`, "replace");
  });
  const [custom, setCustom] = useStored<CustomValues>(`draft.${ticket.ticket_id}.done.fields`, {});
  const step = ticket.allowed.find((one) => one.to === "done");
  const requires = step?.requires ?? CLOSING;
  const names = asked(requires, values).filter((name) => !name.startsWith("fields."));
  const set = (name: string, value: string) => setValues({ ...values, [name]: value });
  const missing = (name: string) => (tried && names.includes(name) && !values[name]?.trim() ? t("field.required") : undefined);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (names.every((name) => values[name]?.trim())) void mover.move("done", outgoing(names, values), custom);
  };
  return (
    <form className="stack finish" onSubmit={submit} noValidate>
      <div>
        <h1>{t("my.finish")}</h1>
        <p className="soft">{ticket.ref} · {ticket.title}</p>
        <p className="soft">{t("my.finishLead")}</p>
      </div>
      {requires.includes("verdict") && <Verdicts value={values.verdict ?? ""} set={(value) => set("verdict", value)} error={missing("verdict")} />}
      {names.includes("failure_code") && (
        <FailureChoice ticket={ticket} value={values.failure_code ?? ""} set={(value) => set("failure_code", value)} error={missing("failure_code")} />
      )}
      <div>
        <Textarea
          label={t("field.note")} size="md" autosize minRows={3} withAsterisk value={values.note ?? ""} error={missing("note")}
          onChange={(event) => set("note", event.currentTarget.value)}
        />
        <p className="small soft" style={{ margin: "8px 0 4px" }} id="quick">{t("my.quick")}</p>
        <div className="phrases" role="group" aria-labelledby="quick">
          {PHRASES.map((phrase) => (
            <button key={phrase} type="button" className="phrase" onClick={() => set("note", append(values.note, t(`my.quick.${phrase}`)))}>
              {t(`my.quick.${phrase}`)}
            </button>
          ))}
        </div>
      </div>
      {step && <StepFields ticket={ticket} step={step} values={custom} set={setCustom} />}
      <div className="action-bar">
        <MoveProblem mover={mover} ticket={ticket} />
        <div className="action-row">
          <Button type="submit" className="thumb main-step" loading={mover.sending}>{t("my.send")}</Button>
        </div>
      </div>
    </form>
  );
}

function Verdicts({ value, set, error }: { value: string; set: (value: string) => void; error?: string }) {
  const { t } = useSpeech();
  return (
    <fieldset className="verdicts">
      <legend>{t("field.verdict")}</legend>
      {VERDICTS.map((one) => (
        <label key={one} className={value === one ? "chosen" : ""}>
          <input type="radio" name="verdict" value={one} checked={value === one} onChange={() => set(one)} />
          {t(`verdict.${one}`)}
        </label>
      ))}
      {error && <p className="field-error" role="alert">{error}</p>}
    </fieldset>
  );
}

function FailureChoice({ ticket, value, set, error }: { ticket: Ticket; value: string; set: (value: string) => void; error?: string }) {
  const { t } = useSpeech();
  const choices = useFailureChoices(ticket);
  return (
    <NativeSelect
      label={t("field.failure_code")} size="lg" withAsterisk value={value} error={error}
      data={[{ value: "", label: t("field.choose") }, ...choices]} onChange={(event) => set(event.currentTarget.value)}
    />
  );
}

function append(note: string | undefined, phrase: string): string {
  const text = note?.trim() ?? "";
  return text.includes(phrase) ? text : `${text}${text ? " " : ""}${phrase}`;
}
