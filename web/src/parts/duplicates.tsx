// Who reported this already? Shown while somebody types a new ticket.
import { useEffect, useState } from "react";
import { Button } from "@mantine/core";
import { useCandidates, type Candidate } from "../api/kinds";
import { useNow } from "../api/clock";
import { useSend } from "../api/send";
import { useSpeech } from "../i18n";
import { moment } from "../i18n/format";
import { go } from "../router";
import { StatusChip } from "./marks";
import { toast } from "./toasts";
import { SendProblem } from "./transition";

const PAUSE_MS = 400;

export function Duplicates({ title, description, assetId, joined }: {
  title: string; description: string; assetId: number | undefined; joined: () => void;
}) {
  const { t } = useSpeech();
  const text = useCalm(`${title.trim()}\n${description.trim()}`.trim());
  const found = useCandidates(text.slice(0, 4000), assetId);
  const sender = useSend<{ ticket_id: number; ref: string }>("again", (answer) => {
    joined();
    toast(t("kinds.added", { ref: answer.ref }));
    go(`/orders/${answer.ticket_id}`);
  });
  const add = (one: Candidate) =>
    void sender.send(`/tickets/${one.ticket_id}/reports`, { title: title.trim() || one.title, text: description.trim() });
  if (!found.data?.length) return null;
  return (
    <section className="panel stack" aria-live="polite">
      <h2>{t("kinds.duplicates")}</h2>
      {found.data.map((one) => <Found key={one.ticket_id} candidate={one} add={() => add(one)} sending={sender.sending} />)}
      <SendProblem sender={sender} />
    </section>
  );
}

function Found({ candidate, add, sending }: { candidate: Candidate; add: () => void; sending: boolean }) {
  const speech = useSpeech();
  const now = useNow();
  const open = candidate.status !== "closed" && candidate.status !== "cancelled";
  return (
    <div className="row between">
      <span>
        {candidate.ref} <strong>{candidate.title}</strong> <StatusChip status={candidate.status} />{" "}
        <span className="soft small">{moment(candidate.opened_at, now, speech)}</span>
      </span>
      {open && <Button size="xs" variant="default" loading={sending} onClick={add}>{speech.t("kinds.add")}</Button>}
    </div>
  );
}

/** The text once it has rested: nothing is asked for at every key. */
function useCalm(text: string): string {
  const [calm, setCalm] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setCalm(text), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return calm;
}
