// Closed orders like this one, and what fixed them.
import { useSimilar, type Past } from "../api/guides";
import { useSpeech } from "../i18n";
import { number } from "../i18n/format";
import { Age } from "./marks";

export function SimilarOrders({ ticketId }: { ticketId: number }) {
  const { t } = useSpeech();
  const similar = useSimilar(ticketId);
  if (!similar.data?.length) return null;
  return (
    <section className="panel stack">
      <h2>{t("guides.similar")}</h2>
      <ul className="stack">{similar.data.map((one) => <PastOrder key={one.ticket_id} one={one} />)}</ul>
    </section>
  );
}

function PastOrder({ one }: { one: Past }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const parts = one.parts.map((part) => `${part.code} × ${number(part.quantity, speech)}`).join(", ");
  return (
    <li>
      <a href={`#/orders/${one.ticket_id}`}>{one.ref}</a> {one.title} <span className="soft small">{one.asset_code} <Age at={one.closed_at} /></span>
      <div className="row small">
        <span className="chip">{one.verified ? `✓ ${t("guides.proven")}` : t("guides.closed")}</span>
        {one.failure_code && <span>{code("mode", one.failure_code)}</span>}
        {one.cause && <span>{one.cause}</span>}
        {one.labour_h > 0 && <span>{number(one.labour_h, speech)} h</span>}
        {parts && <span>{parts}</span>}
      </div>
      {one.note && <p className="written">{one.note}</p>}
    </li>
  );
}
