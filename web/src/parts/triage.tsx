// What closed orders say of this one: who, which skill, how urgent, what failed. Offered with reasons; a click takes it over.
import { Button } from "@mantine/core";
import { call } from "../api/client";
import { refreshTickets } from "../api/kinds";
import { useTriage, type TriageChoice, type TriageTarget } from "../api/triage";
import type { Me, Ticket } from "../api/types";
import { useSpeech, type Key, type Speech } from "../i18n";
import { modeName, percent } from "../i18n/format";
import { isOpen } from "./marks";
import { Refused, useJob } from "./setting";

const TAKERS = new Set(["planner", "manager", "admin"]);
const WORKED = new Set(["done", "verifying"]);

type Offer = { target: TriageTarget; choice: TriageChoice };

export function Triage({ ticket, me }: { ticket: Ticket; me: Me }) {
  const { t } = useSpeech();
  const asked = me.role !== "requester" && isOpen(ticket.status) && !WORKED.has(ticket.status);
  const triage = useTriage(asked ? ticket.ticket_id : null, ticket.version);
  const job = useJob();
  const offers = (triage.data?.suggestions ?? []).flatMap(({ target, answer, choices }): Offer[] => {
    const choice = choices.find((one) => one.label === answer);
    return choice && isNews(ticket, target, choice.label) ? [{ target, choice }] : [];
  });
  const take = (offer: Offer) => job.run(async () => {
    try {
      await accept(ticket, offer);
    } finally {
      await refreshTickets(); // a refusal too: somebody may have decided meanwhile
    }
  });
  if (!asked || (offers.length === 0 && job.problem === null)) return null;
  return (
    <section className="panel stack">
      <h2>{t("triage.title")}</h2>
      <p className="soft small">{t("triage.lead")}</p>
      <ul className="stack">
        {offers.map((one) => <Shown key={one.target} offer={one} busy={job.busy} take={TAKERS.has(me.role) ? () => void take(one) : null} />)}
      </ul>
      <Refused problem={job.problem} />
    </section>
  );
}

function Shown({ offer, busy, take }: { offer: Offer; busy: boolean; take: (() => void) | null }) {
  const speech = useSpeech();
  const { t, say } = speech;
  const target = t(`triage.${offer.target}` as Key);
  const word = said(offer, speech);
  return (
    <li className="stack tight">
      <div className="row between">
        <span>{target}: <strong>{word}</strong> <span className="chip" title={t("triage.confidence")}>{percent(offer.choice.confidence)}</span></span>
        {take && <Button size="xs" variant="default" loading={busy} aria-label={t("triage.takeOf", { what: `${target}: ${word}` })} onClick={take}>{t("triage.take")}</Button>}
      </div>
      {offer.choice.reasons.length > 0 && <ul className="soft small" style={{ overflowWrap: "anywhere" }}>{offer.choice.reasons.map((one, at) => <li key={at}>{say(one)}</li>)}</ul>}
    </li>
  );
}

function said({ target, choice }: Offer, speech: Speech): string {
  const { t, code } = speech;
  if (target === "engineer") return choice.name ?? choice.label;
  if (target === "priority") return t("triage.priorityOf", { n: choice.label });
  return target === "mode" ? modeName(choice.label, speech) : code("skill", choice.label);
}

/** Whether the order does not say so already; a failure mode that it has stays. */
function isNews(ticket: Ticket, target: TriageTarget, label: string): boolean {
  if (target === "engineer") return String(ticket.assignee?.engineer_id ?? "") !== label;
  if (target === "priority") return String(ticket.priority) !== label;
  return target === "skill" ? ticket.skill !== label : ticket.mode === null;
}

function accept(ticket: Ticket, { target, choice }: Offer): Promise<unknown> {
  const { version } = ticket;
  const path = `/tickets/${ticket.ticket_id}`;
  if (target === "engineer") return call(`${path}/assign`, { method: "POST", version, body: { engineer_id: Number(choice.label) } });
  return call(path, { method: "PATCH", version, body: { [target]: target === "priority" ? Number(choice.label) : choice.label } });
}
