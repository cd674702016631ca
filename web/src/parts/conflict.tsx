// A stale If-Match: say what somebody else changed, and let the reader go on from there.
import { Button } from "@mantine/core";
import type { Ticket } from "../api/types";
import { useSpeech, type Speech } from "../i18n";

type Change = { name: string; was: string; is: string };

export function Conflict({ before, after, take }: { before: Ticket; after: Ticket | undefined; take: () => void }) {
  const speech = useSpeech();
  const changes = after ? differences(before, after, speech) : [];
  return (
    <div className="problem" role="alert" style={{ display: "block" }}>
      <strong>{speech.t("conflict.title")}</strong>
      <p>{speech.t("conflict.lead")}</p>
      {changes.length === 0 && <p>{speech.t("conflict.nothing")}</p>}
      <ul style={{ margin: "8px 0" }}>
        {changes.map((one) => (
          <li key={one.name}>
            <strong>{one.name}</strong>: {speech.t("conflict.was")} <s>{one.was || "–"}</s> → {speech.t("conflict.is")}{" "}
            <strong>{one.is || "–"}</strong>
          </li>
        ))}
      </ul>
      <p className="small">{speech.t("conflict.kept")}</p>
      <Button variant="default" onClick={take} mt={8}>{speech.t("conflict.reload")}</Button>
    </div>
  );
}

export function differences(before: Ticket, after: Ticket, speech: Speech): Change[] {
  const rows: [string, (ticket: Ticket) => string][] = [
    [speech.t("order.status"), (ticket) => speech.code("status", ticket.status)],
    [speech.t("order.assignee"), (ticket) => ticket.assignee?.name ?? ""],
    [speech.t("order.priority"), (ticket) => speech.code("priority", ticket.priority)],
    [speech.t("new.subject"), (ticket) => ticket.title],
    [speech.t("order.description"), (ticket) => ticket.description],
    [speech.t("order.verdict"), (ticket) => speech.code("verdict", ticket.verdict)],
    [speech.t("order.due"), (ticket) => ticket.resolve_by ?? ""],
  ];
  return rows
    .map(([name, read]) => ({ name, was: read(before), is: read(after) }))
    .filter((one) => one.was !== one.is);
}
