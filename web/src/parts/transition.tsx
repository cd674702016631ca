// The steps a ticket allows, as buttons; a step that needs answers opens its form in place.
import { useState, type FormEvent } from "react";
import { Button } from "@mantine/core";
import { Problem } from "../api/client";
import { queryClient, ticketQuery } from "../api/queries";
import { useCustomFields, type CustomValues } from "../api/kinds";
import { useSend, useStored, type Sender } from "../api/send";
import type { Allowed, Ticket } from "../api/types";
import { useSpeech, type Speech } from "../i18n";
import { Conflict } from "./conflict";
import { CustomInputs } from "./custom_fields";
import { asked, codeOf, Field, outgoing, type Values } from "./fields";

// Moves that the machine or the dispatcher make; people use other doors for them.
const NOT_BUTTONS = new Set(["verifying", "new"]);
const CUSTOM = "fields.";
const FORWARD = ["accepted", "arrived", "done", "closed"];

export function steps(ticket: Ticket): Allowed[] {
  const order = (one: Allowed) => (FORWARD.includes(one.to) ? FORWARD.indexOf(one.to) : 10);
  const dispatch = (one: Allowed) => one.to === "assigned" && ticket.status !== "on_hold";
  return ticket.allowed.filter((one) => !NOT_BUTTONS.has(one.to) && !dispatch(one)).sort((a, b) => order(a) - order(b));
}

/** Whether a step is the normal way on; to close what is still being checked is an exception. */
function forward(ticket: Ticket, step: Allowed): boolean {
  return FORWARD.includes(step.to) && ticket.status !== "verifying";
}

/** Whether a step opens a form. */
export function asksFor(step: Allowed): boolean {
  return step.requires.length > 0 || customOf(step).length > 0;
}

/** The site's own fields that a step asks for: by the field's definition, or by the life cycle. */
export function customOf(step: Allowed): string[] {
  const named = step.requires.filter((name) => name.startsWith(CUSTOM)).map((name) => name.slice(CUSTOM.length));
  return [...new Set([...(step.requires_custom ?? []), ...named])];
}

/** The word on a step's button, as the life cycle names it. */
export function stepLabel(step: Allowed, speech: Speech): string {
  return speech.say(step.label) || speech.code("act", step.to);
}

/** Sends a transition; on a stale version it fetches what is true now and keeps what was known before. */
export function useTransition(ticket: Ticket, onSaved?: (answer: Ticket) => void) {
  const [before, setBefore] = useState<Ticket | null>(null);
  const sender = useSend<Ticket>(`ticket.${ticket.ticket_id}`, async (answer) => {
    if (answer && typeof answer === "object" && "ticket_id" in answer && "allowed" in answer) {
      queryClient.setQueryData(ticketQuery(ticket.ticket_id).queryKey, answer);
    }
    onSaved?.(answer);
    await queryClient.invalidateQueries({ queryKey: ["ticket"] });
  });
  const sendTo = async (verb: "transition" | "assign", body: unknown) => {
    setBefore(ticket);
    return sender.send(`/tickets/${ticket.ticket_id}/${verb}`, body, ticket.version);
  };
  const move = (to: string, fields: Values, custom: CustomValues = {}) => sendTo("transition", { to, fields, custom });
  const stale = sender.problem?.status === 412;
  const take = async () => {
    await queryClient.invalidateQueries({ queryKey: ["ticket"] });
    sender.clear();
    setBefore(null);
  };
  return { ...sender, move, sendTo, stale, before, take };
}

export type Mover = ReturnType<typeof useTransition>;

export function TransitionPanel({ ticket }: { ticket: Ticket }) {
  const speech = useSpeech();
  const { t } = speech;
  const [open, setOpen] = useState<string | null>(null);
  const mover = useTransition(ticket, () => setOpen(null));
  const choices = steps(ticket);
  const chosen = choices.find((one) => one.to === open);
  const press = (one: Allowed) => {
    if (asksFor(one)) setOpen(open === one.to ? null : one.to);
    else void mover.move(one.to, {});
  };
  return (
    <div className="stack">
      {choices.length === 0 && <p className="soft">{t("order.noActions")}</p>}
      <div className="row">
        {choices.map((one, rank) => (
          <Button
            key={one.to} variant={rank === 0 && forward(ticket, one) ? "filled" : "default"}
            aria-expanded={asksFor(one) ? open === one.to : undefined}
            loading={mover.sending && mover.waiting !== null && open === null} onClick={() => press(one)}
          >
            {stepLabel(one, speech)}
          </Button>
        ))}
      </div>
      {chosen && <TransitionForm key={chosen.to} ticket={ticket} step={chosen} mover={mover} cancel={() => setOpen(null)} />}
      <MoveProblem mover={mover} ticket={ticket} />
    </div>
  );
}

export function TransitionForm({ ticket, step, mover, cancel, saved }: {
  ticket: Ticket; step: Allowed; mover: Mover; cancel: () => void; saved?: () => void;
}) {
  const speech = useSpeech();
  const { t } = speech;
  const [values, setValues] = useStored<Values>(`draft.${ticket.ticket_id}.${step.to}`, firstValues(ticket));
  const [tried, setTried] = useState(false);
  const [custom, setCustom] = useState<CustomValues>({});
  const names = asked(step.requires, values).filter((name) => !name.startsWith(CUSTOM));
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (names.some((name) => !values[name]?.trim())) return;
    const answer = await mover.move(step.to, outgoing(names, values), custom);
    if (!answer) return;
    setValues({});
    saved?.();
  };
  return (
    <form className="stack" onSubmit={(event) => void submit(event)} noValidate>
      {names.map((name) => (
        <Field
          key={name} name={name} ticket={ticket} to={step.to} values={values}
          set={(field, value) => setValues({ ...values, [field]: value })}
          error={tried && !values[name]?.trim() ? t("field.required") : undefined}
        />
      ))}
      <StepFields ticket={ticket} step={step} values={custom} set={setCustom} />
      <div className="row">
        <Button type="submit" loading={mover.sending}>{stepLabel(step, speech)}</Button>
        <Button variant="default" onClick={cancel}>{t("app.cancel")}</Button>
      </div>
    </form>
  );
}

/** The inputs of the site's own fields that a step asks for. */
export function StepFields({ ticket, step, values, set }: {
  ticket: Ticket; step: Allowed; values: CustomValues; set: (values: CustomValues) => void;
}) {
  const keys = customOf(step);
  const fields = useCustomFields(keys.length ? ticket.kind : null);
  const wanted = (fields.data ?? []).filter((field) => keys.includes(field.key));
  return <CustomInputs fields={wanted} values={{ ...ticket.fields, ...values }} set={(next) => set(only(keys, next))} required={() => true} />;
}

function only(keys: string[], values: CustomValues): CustomValues {
  return Object.fromEntries(keys.filter((key) => key in values).map((key) => [key, values[key]]));
}

export function firstValues(ticket: Ticket): Values {
  const code = codeOf(ticket);
  return code ? { failure_code: code } : {};
}

/** What went wrong with a step, and the way on: the new state, or the same request again. */
export function MoveProblem({ mover, ticket }: { mover: Mover; ticket: Ticket }) {
  if (mover.stale && mover.before) return <Stale mover={mover} ticket={ticket} before={mover.before} />;
  return <SendProblem sender={mover} />;
}

function Stale({ mover, ticket, before }: { mover: Mover; ticket: Ticket; before: Ticket }) {
  const [after, setAfter] = useState<Ticket | undefined>(ticket.version !== before.version ? ticket : undefined);
  const [asking, setAsking] = useState(false);
  if (!after && !asking) {
    setAsking(true);
    void queryClient.fetchQuery({ ...ticketQuery(before.ticket_id), staleTime: 0 }).then(setAfter, () => undefined);
  }
  return <Conflict before={before} after={after} take={() => void mover.take()} />;
}

export function SendProblem<T>({ sender }: { sender: Sender<T> }) {
  const { t } = useSpeech();
  if (sender.sending || (!sender.problem && !sender.waiting)) return null;
  if (sender.waiting) {
    return (
      <div className="problem" role="alert">
        <span>{t("send.failed")}</span>
        <Button variant="default" size="md" onClick={() => void sender.retry()}>{t("send.retry")}</Button>
      </div>
    );
  }
  const fields = (sender.problem?.errors ?? []).map((one) => one.message ?? one.msg ?? "").filter(Boolean);
  return (
    <div className="problem" role="alert">
      <span>{problemSentence(sender.problem)}{fields.length > 0 && ` (${fields.join("; ")})`}</span>
    </div>
  );
}

function problemSentence(problem: Problem | null): string {
  return problem ? problem.detail || problem.message : "";
}
