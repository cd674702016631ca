// The job's parts: use, reserve, give back; offline too, by the same outbox as the rest of the work.
import { useState } from "react";
import { Button, NumberInput, Select } from "@mantine/core";
import { useLevels, useParts } from "../api/dispatch";
import type { Ticket } from "../api/types";
import { enter } from "../api/work";
import { useSpeech } from "../i18n";
import { number } from "../i18n/format";

export function PartsPanel({ ticket }: { ticket: Ticket }) {
  const speech = useSpeech();
  const { t } = speech;
  const lines = useParts(ticket.ticket_id);
  const book = (move: string, part_id: number, quantity: number, store_id: number | null = null) =>
    enter(ticket.ticket_id, `/tickets/${ticket.ticket_id}/parts`, { move, part_id, quantity, store_id });
  const items = lines.data?.items ?? [];
  return (
    <details className="panel fold">
      <summary>{t("parts.title")} <span className="soft small">{items.length || ""}</span></summary>
      {items.length === 0 && <p className="soft">{t("parts.none")}</p>}
      <ul className="stack tight">
        {items.map((one) => (
          <li key={`${one.store_id}.${one.part_id}`} className="stack tight">
            <span><strong>{one.code}</strong> {one.name} · {t("parts.line", { n: number(one.consumed, speech), m: number(one.reserved, speech) })}</span>
            <span className="row">
              {one.reserved >= 1 && <Button variant="default" className="thumb" onClick={() => book("consume", one.part_id, 1, one.store_id)}>{t("parts.use")}</Button>}
              {one.consumed >= 1 && <Button variant="default" className="thumb" onClick={() => book("return", one.part_id, 1, one.store_id)}>{t("parts.back")}</Button>}
            </span>
          </li>
        ))}
      </ul>
      <AddPart book={book} />
    </details>
  );
}

function AddPart({ book }: { book: (move: string, part: number, quantity: number) => void }) {
  const { t } = useSpeech();
  const levels = useLevels();
  const [part, setPart] = useState<string | null>(null);
  const [count, setCount] = useState<string | number>(1);
  const names = new Map((levels.data?.items ?? []).map((one) => [String(one.part_id), `${one.code} ${one.name}`]));
  const ready = part !== null && Number(count) > 0;
  return (
    <div className="stack tight">
      <Select label={t("parts.pick")} searchable value={part} onChange={setPart} data={[...names].map(([value, label]) => ({ value, label }))} />
      <NumberInput label={t("parts.quantity")} min={0} value={count} onChange={setCount} />
      <div className="row">
        <Button className="thumb" disabled={!ready} onClick={() => book("consume", Number(part), Number(count))}>{t("parts.use")}</Button>
        <Button className="thumb" variant="default" disabled={!ready} onClick={() => book("reserve", Number(part), Number(count))}>{t("parts.reserve")}</Button>
      </div>
    </div>
  );
}
