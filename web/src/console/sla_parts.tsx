// What policies and calendars share: what a change would do to open tickets, how far it reaches, and what was before.
import { Radio } from "@mantine/core";
import { useVersions, type SlaPreview } from "../api/settings";
import { useSpeech } from "../i18n";
import { fullMoment, number } from "../i18n/format";
import { Age, ToneMark } from "../parts/marks";
import { Difference, linesOf, Scroll } from "../parts/setting";
import { Await } from "../parts/states";

export function Reach({ reach, change }: { reach: string; change: (next: string) => void }) {
  const { t } = useSpeech();
  return (
    <Radio.Group label={t("slas.reach")} value={reach} onChange={change}>
      <div className="stack tight" style={{ marginTop: 6 }}>
        <Radio value="new" label={t("slas.reachNew")} />
        <Radio value="open" label={t("slas.reachOpen")} />
      </div>
    </Radio.Group>
  );
}

export function WouldMove({ preview }: { preview: SlaPreview }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const at = (moment: string | null) => (moment ? fullMoment(moment, speech) : "–");
  return (
    <section className="panel stack" role="status">
      <h2>{t("slas.would")}</h2>
      <p>
        <strong>{t("slas.wouldMove", { tickets: number(preview.tickets_moved, speech), open: number(preview.open_tickets, speech), clocks: number(preview.clocks_moved, speech) })}</strong>{" "}
        {preview.clocks_moved > 0 && t("slas.wouldHow", { earlier: number(preview.earlier, speech), later: number(preview.later, speech), begun: number(preview.begun, speech) })}
        {preview.used_up > 0 && <> <ToneMark tone="watch">{t("slas.usedUp", { n: number(preview.used_up, speech) })}</ToneMark></>}
        {preview.looked_at < preview.open_tickets && <> {t("slas.lookedAt", { n: number(preview.looked_at, speech) })}</>}
      </p>
      {preview.moved.length > 0 && (
        <Scroll label={t("slas.would")}>
          <table className="list">
            <thead><tr><th scope="col">{t("slas.ticket")}</th><th scope="col">{t("slas.clock")}</th><th scope="col">{t("slas.due")}</th><th scope="col">{t("slas.wouldBe")}</th></tr></thead>
            <tbody>
              {preview.moved.map((one) => (
                <tr key={`${one.ticket_id} ${one.clock}`}>
                  <td><a href={`#/orders/${one.ticket_id}`}>{one.ref}</a></td><td>{code("slaClock", one.clock)}</td>
                  <td className="nowrap">{at(one.due_at)}</td><td className="nowrap">{at(one.would_be_due_at)} {one.used_up && <span className="chip watch">{t("slas.fromNow")}</span>}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </section>
  );
}

export function History({ path }: { path: string }) {
  const speech = useSpeech();
  const { t } = speech;
  const found = useVersions(path);
  return (
    <section className="panel stack">
      <h2>{t("life.versions")}</h2>
      <Await query={found}>
        {(items) => (
          <ul className="stack">
            {items.map((one, at) => {
              const before = items[at + 1];
              return (
                <li key={one.version}>
                  <strong>{t("life.nth", { n: one.version })}</strong> <span className="soft small">{one.changed_by || t("slas.shipped")} <Age at={one.changed_at} /></span>
                  {before && <Difference was={linesOf(worth(before.body), speech)} is={linesOf(worth(one.body), speech)} />}
                </li>
              );
            })}
          </ul>
        )}
      </Await>
    </section>
  );
}

const KEPT = new Set(["version", "changed_at", "changed_by", "site_id", "sla_policy_id", "calendar_id_version", "position"]);

function worth(body: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(body).filter(([name]) => !KEPT.has(name)));
}
