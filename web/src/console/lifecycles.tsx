// Life cycles: the kinds, and one kind's states and steps with its versions.
import { useState } from "react";
import { Button, NativeSelect } from "@mantine/core";
import { call } from "../api/client";
import { KINDS, lifecycle, refreshSettings, useLifecycle, useLifecycles, useStandings, type Lifecycle, type Lifecycles, type Standing } from "../api/settings";
import type { Me } from "../api/types";
import { useSpeech } from "../i18n";
import { Age } from "../parts/marks";
import { Difference, Head, Refused, useJob, type Lines } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";
import { LifecycleEditor } from "./lifecycle_editor";
import { LifecycleGraph } from "./lifecycle_graph";
import { lifeLines, Standings, StateTable, StepTable, whole } from "./lifecycle_tables";
import { ROW } from "./list_keys";

export default function LifecyclesPage({ kind, me }: { kind: string | undefined; me: Me }) {
  const { t } = useSpeech();
  const all = useLifecycles();
  if (kind && !KINDS.some((one) => one === kind)) return <Empty title={t("app.notFound")} />;
  return <Await query={all}>{(words) => (kind ? <One key={kind} kind={kind} words={words} me={me} /> : <List all={words} />)}</Await>;
}

function List({ all }: { all: Lifecycles }) {
  const { t, code } = useSpeech();
  return (
    <>
      <Head title={t("setting.lifecycles")} lead={t("setting.lifecyclesLead")} back={t("setting.title")} backTo="#/settings" />
      <div className="scroll">
        <table className="list cards">
          <thead><tr><th scope="col">{t("life.kind")}</th><th scope="col">{t("life.version")}</th><th scope="col">{t("life.published")}</th><th scope="col">{t("life.draft")}</th></tr></thead>
          <tbody>
            {all.items.map((one) => (
              <tr key={one.kind}>
                <th scope="row"><a className="title" href={`#/settings/lifecycles/${one.kind}`} {...{ [ROW]: "" }}>{code("kind", one.kind)}</a></th>
                <td data-label={t("life.version")}>{one.version || t("life.builtIn")}</td>
                <td data-label={t("life.published")}>{one.published_at ? <span>{one.published_by} <Age at={one.published_at} /></span> : "–"}</td>
                <td data-label={t("life.draft")}>{one.has_draft ? <span className="chip accent">{t("life.inWork")}</span> : "–"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function One({ kind, words, me }: { kind: string; words: Lifecycles; me: Me }) {
  const { t, code } = useSpeech();
  const found = useLifecycle(kind);
  const [editing, setEditing] = useState(false);
  return (
    <>
      <Head title={t("life.of", { kind: code("kind", kind) })} lead={t("life.lead")} back={t("setting.lifecycles")} backTo="#/settings/lifecycles">
        {!editing && <Button onClick={() => setEditing(true)}>{t(found.data?.draft ? "life.resume" : "life.edit")}</Button>}
      </Head>
      <Await query={found}>
        {(life) => editing ? <LifecycleEditor life={life} words={words} me={me} leave={() => setEditing(false)} /> : <Shown life={life} me={me} />}
      </Await>
    </>
  );
}

function Shown({ life, me }: { life: Lifecycle; me: Me }) {
  const { t } = useSpeech();
  const may = me.role !== "planner";
  return (
    <div className="stack">
      {life.draft && <p className="stale-bar" role="status">{t("life.draftBy", { who: life.draft.changed_by })} <Age at={life.draft.changed_at} /></p>}
      <LifecycleGraph life={life.draft ? whole(life.draft.definition) : life.definition} was={life.draft ? life.definition : null} />
      <h2>{t("life.states")}</h2>
      <StateTable life={life.definition} />
      <h2>{t("life.steps")}</h2>
      <StepTable life={life.definition} />
      {may && <BringAlong life={life} />}
      <h2>{t("life.versions")}</h2>
      <Versions life={life} may={may} />
    </div>
  );
}

function Versions({ life, may }: { life: Lifecycle; may: boolean }) {
  const speech = useSpeech();
  const { t } = speech;
  const job = useJob();
  const [compared, setCompared] = useState<{ version: number; lines: Lines } | null>(null);
  const name = (version: number) => (version === 0 ? t("life.builtIn") : t("life.nth", { n: version }));
  const compare = (version: number) => job.run(async () => {
    const other = await lifecycle(life.kind, version);
    setCompared({ version, lines: lifeLines(other.definition, speech) });
  });
  const restore = (version: number) => job.run(async () => {
    await call(`/lifecycles/${life.kind}/restore`, { method: "POST", body: { version, note: name(version) } });
    setCompared(null);
    await refreshSettings();
    toast(t("life.restored"));
  });
  return (
    <>
      <div className="scroll">
        <table className="list cards">
          <thead><tr><th scope="col">{t("life.version")}</th><th scope="col">{t("life.published")}</th><th scope="col">{t("life.note")}</th><th scope="col" className="num">{t("life.open")}</th><th scope="col">{t("setting.actions")}</th></tr></thead>
          <tbody>
            {life.versions.map((one) => (
              <tr key={one.version}>
                <th scope="row">{name(one.version)} {one.active && <span className="chip accent">{t("life.active")}</span>}</th>
                <td data-label={t("life.published")}>{one.published_at ? <span>{one.published_by} <Age at={one.published_at} /></span> : "–"}</td>
                <td data-label={t("life.note")}>{one.note || "–"}</td>
                <td data-label={t("life.open")} className="num">{one.open_tickets}</td>
                <td data-label={t("setting.actions")}>
                  {one.active ? "–" : (
                    <span className="row">
                      <Button size="xs" variant="default" aria-label={`${t("life.compare")} ${name(one.version)}`} onClick={() => void compare(one.version)}>{t("life.compare")}</Button>
                      {may && <Button size="xs" variant="default" loading={job.busy} aria-label={`${t("life.restore")} ${name(one.version)}`} onClick={() => void restore(one.version)}>{t("life.restore")}</Button>}
                    </span>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <Refused problem={job.problem} />
      {compared && (
        <section className="panel stack" role="status">
          <h2>{t("life.since", { version: name(compared.version) })}</h2>
          <Difference was={compared.lines} is={lifeLines(life.definition, speech)} />
        </section>
      )}
    </>
  );
}

/** Open tickets that still follow an earlier version change over, each by an event of its own. */
function BringAlong({ life }: { life: Lifecycle }) {
  const active = life.versions.find((one) => one.active)?.version ?? 0;
  const behind = life.versions.some((one) => !one.active && one.open_tickets > 0);
  const standings = useStandings(life.kind, life.definition);
  if (!behind || !standings.data) return null;
  return <Along life={life} standings={standings.data.open_tickets.filter((one) => one.version !== active)} />;
}

function Along({ life, standings }: { life: Lifecycle; standings: Standing[] }) {
  const { t, say, code } = useSpeech();
  const job = useJob();
  const homeless = [...new Set(standings.filter((one) => one.fate === "homeless").map((one) => one.state))];
  const [homes, setHomes] = useState<Record<string, string>>({});
  const places = Object.entries(life.definition.states).map(([value, state]) => ({ value, label: say(state.label) }));
  const move = () => job.run(async () => {
    const done = await call<{ moved: number; left: number }>(`/lifecycles/${life.kind}/migrate`, { method: "POST", body: { states: homes } });
    toast(t("life.moved", { n: done.moved, left: done.left }));
    await refreshSettings();
  });
  return (
    <section className="panel stack">
      <h2>{t("life.along")}</h2>
      <p className="soft">{t("life.alongLead")}</p>
      <Standings items={standings} />
      {homeless.map((state) => (
        <NativeSelect
          key={state} label={t("life.home", { state: code("status", state) })} value={homes[state] ?? ""} style={{ maxWidth: 360 }}
          data={[{ value: "", label: "–" }, ...places]} onChange={(event) => setHomes({ ...homes, [state]: event.currentTarget.value })}
        />
      ))}
      <Refused problem={job.problem} />
      <div><Button variant="default" loading={job.busy} disabled={homeless.some((state) => !homes[state])} onClick={() => void move()}>{t("life.bring")}</Button></div>
    </section>
  );
}
