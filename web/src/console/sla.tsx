// Service levels: which policy counts for which tickets, in the order in which they are asked, and one policy's form.
import { Button } from "@mantine/core";
import { call } from "../api/client";
import { CLOCKS, refreshSettings, useCalendars, usePolicies, type Calendar, type Policy } from "../api/settings";
import type { Me } from "../api/types";
import { useSpeech, type Speech } from "../i18n";
import { number } from "../i18n/format";
import { Age } from "../parts/marks";
import { Head, Refused, useJob } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { ROW } from "./list_keys";
import { PolicyForm } from "./sla_form";

const HOUR_S = 3600;

export default function SlaPage({ id, me }: { id: string | undefined; me: Me }) {
  const { t } = useSpeech();
  const policies = usePolicies();
  const calendars = useCalendars();
  return (
    <Await query={policies}>
      {(items) => (
        <Await query={calendars}>
          {(known) => {
            if (!id) return <List items={items} calendars={known} me={me} />;
            if (id === "new") return <PolicyForm policy={null} calendars={known} me={me} />;
            const policy = items.find((one) => one.sla_policy_id === Number(id));
            return policy ? <PolicyForm key={id} policy={policy} calendars={known} me={me} /> : <Empty title={t("app.notFound")} />;
          }}
        </Await>
      )}
    </Await>
  );
}

export function hours(seconds: number | null, speech: Speech): string {
  return seconds === null ? "–" : speech.t("slas.hours", { n: number(seconds / HOUR_S, speech) });
}

function forWhom(policy: Policy, speech: Speech): string {
  const { t, code } = speech;
  const kind = policy.kind === "*" ? t("slas.everyKind") : code("kind", policy.kind);
  const asked = Object.entries(policy.conditions).filter(([, values]) => values?.length).map(([name, values]) => `${code("slaCondition", name)}: ${values?.join(" / ")}`);
  return [kind, policy.priority === null ? t("slas.everyPriority") : t("slas.priorityIs", { n: policy.priority }), ...asked].join(" · ");
}

function List({ items, calendars, me }: { items: Policy[]; calendars: Calendar[]; me: Me }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const job = useJob();
  const may = me.role !== "planner";
  const usual = calendars.find((one) => one.is_default)?.name ?? "–";
  const move = (at: number, by: number) => job.run(async () => {
    const ids = items.map((one) => one.sla_policy_id);
    const [moved] = ids.splice(at, 1);
    ids.splice(at + by, 0, moved as number);
    await call("/sla/order", { method: "PUT", body: { policy_ids: ids } });
    await refreshSettings();
  });
  return (
    <>
      <Head title={t("setting.sla")} lead={t("slas.lead")} back={t("setting.title")} backTo="#/settings">
        <Button component="a" variant="default" href="#/settings/calendars">{t("setting.calendars")}</Button>
        {may && <Button component="a" href="#/settings/sla/new">{t("slas.new")}</Button>}
      </Head>
      <Refused problem={job.problem} />
      {items.length === 0 ? <div className="panel"><Empty title={t("slas.empty")} hint={t("slas.emptyHint")} /></div> : (
        <div className="scroll">
          <table className="list cards middle">
            <thead>
              <tr>
                <th scope="col">{t("slas.policy")}</th><th scope="col">{t("slas.counts")}</th>
                {CLOCKS.map((clock) => <th key={clock} scope="col" className="num">{code("slaClock", clock)}</th>)}
                <th scope="col">{t("slas.calendar")}</th><th scope="col">{t("slas.marks")}</th>{may && <th scope="col">{t("slas.order")}</th>}
              </tr>
            </thead>
            <tbody>
              {items.map((one, at) => (
                <tr key={one.sla_policy_id}>
                  <th scope="row">
                    <a className="title" href={`#/settings/sla/${one.sla_policy_id}`} {...{ [ROW]: "" }}>{one.name}</a>
                    <div className="soft small">{one.code} · <Age at={one.changed_at} /></div>
                  </th>
                  <td data-label={t("slas.counts")}>{forWhom(one, speech)}</td>
                  {CLOCKS.map((clock) => <td key={clock} className="num" data-label={code("slaClock", clock)}>{hours(one[`${clock}_s`], speech)}</td>)}
                  <td data-label={t("slas.calendar")}>{calendars.find((each) => each.calendar_id === one.calendar_id)?.name ?? usual}</td>
                  <td data-label={t("slas.marks")}>{number(one.marks.length, speech)}</td>
                  {may && (
                    <td data-label={t("slas.order")}>
                      <span className="row" style={{ flexWrap: "nowrap" }}>
                        <Button size="xs" variant="default" disabled={at === 0 || job.busy} aria-label={t("slas.earlier", { name: one.name })} onClick={() => void move(at, -1)}>↑</Button>
                        <Button size="xs" variant="default" disabled={at === items.length - 1 || job.busy} aria-label={t("slas.later", { name: one.name })} onClick={() => void move(at, 1)}>↓</Button>
                      </span>
                    </td>
                  )}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </>
  );
}
