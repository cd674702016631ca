// A life cycle's draft: states and steps changed in forms, kept, looked at before it counts, and published.
import { useState } from "react";
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { call } from "../api/client";
import { lifecycle, refreshSettings, type Life, type LifeDraft, type Lifecycle, type Lifecycles, type LifePreview } from "../api/settings";
import type { Me } from "../api/types";
import { useSpeech } from "../i18n";
import { Difference, isConflict, Overtaken, Refused, useJob } from "../parts/setting";
import { toast } from "../parts/toasts";
import { StateForm, StepForm } from "./lifecycle_forms";
import { LifecycleGraph } from "./lifecycle_graph";
import { lifeLines, ordered, Standings, StateTable, stateName, StepTable, whole } from "./lifecycle_tables";

type Opened = { state: string } | { step: number } | null;

export function LifecycleEditor({ life, words, me, leave }: { life: Lifecycle; words: Lifecycles; me: Me; leave: () => void }) {
  const speech = useSpeech();
  const { t } = speech;
  const job = useJob();
  const [draft, setDraft] = useState<Life>(whole(life.draft?.definition ?? life.definition));
  const [revision, setRevision] = useState(life.draft?.revision ?? 0);
  const [base, setBase] = useState(life.versions.find((one) => one.active)?.version ?? 0);
  const [theirs, setTheirs] = useState<Lifecycle | null>(null);
  const [preview, setPreview] = useState<LifePreview | null>(null);
  const [note, setNote] = useState("");
  const change = (next: Life) => {
    setDraft(next);
    setPreview(null);
  };
  const guarded = (work: () => Promise<void>) => job.run(async () => {
    try {
      await work();
    } catch (error) {
      if (isConflict(error as never)) setTheirs(await lifecycle(life.kind));
      throw error;
    }
  });
  const keep = () => guarded(async () => {
    const kept = await call<LifeDraft>(`/lifecycles/${life.kind}/draft`, { method: "PUT", body: { definition: draft, revision } });
    setRevision(kept.revision);
    await refreshSettings();
    toast(t("life.kept"));
  });
  const look = () => job.run(async () => setPreview(await call<LifePreview>(`/lifecycles/${life.kind}/preview`, { method: "POST", body: { definition: draft } })));
  const publish = () => guarded(async () => {
    const made = await call<{ version: number }>(`/lifecycles/${life.kind}/publish`, { method: "POST", body: { definition: draft, note, based_on: base } });
    await refreshSettings();
    toast(t("life.publishedAs", { n: made.version }));
    leave();
  });
  const discard = () => job.run(async () => {
    await call(`/lifecycles/${life.kind}/draft`, { method: "DELETE" });
    await refreshSettings();
    leave();
  });
  const settle = (definition: Life) => {
    if (!theirs) return;
    setDraft(definition);
    setRevision(theirs.draft?.revision ?? 0);
    setBase(theirs.versions.find((one) => one.active)?.version ?? 0);
    setTheirs(null);
    setPreview(null);
    job.clear();
  };
  const other = theirs ? whole(theirs.draft?.definition ?? theirs.definition) : undefined;
  return (
    <div className="stack">
      <LifecycleGraph life={draft} was={life.definition} />
      <Tables draft={draft} change={change} words={words} />
      {theirs && other
        ? <Overtaken by={theirs.draft?.changed_by ?? theirs.versions[0]?.published_by ?? ""} mine={lifeLines(draft, speech)} theirs={lifeLines(other, speech)} take={() => settle(other)} keep={() => settle(draft)} />
        : <Refused problem={job.problem} />}
      <div className="row">
        <Button variant="default" loading={job.busy} onClick={() => void keep()}>{t("life.keep")}</Button>
        <Button loading={job.busy} onClick={() => void look()}>{t("life.preview")}</Button>
        <Button variant="default" onClick={leave}>{t("life.leave")}</Button>
        {life.draft && <Button variant="default" onClick={() => void discard()}>{t("life.discard")}</Button>}
      </div>
      {preview && (
        <section className="panel stack" role="status">
          <h2>{t("life.would")}</h2>
          <Preview preview={preview} was={life.definition} is={draft} />
          {preview.problems.length === 0 && me.role !== "planner" && (
            <div className="row" style={{ alignItems: "flex-end" }}>
              <TextInput label={t("life.note")} maxLength={500} value={note} onChange={(event) => setNote(event.currentTarget.value)} style={{ flex: "1 1 240px", maxWidth: 480 }} />
              <Button loading={job.busy} onClick={() => void publish()}>{t("life.publish")}</Button>
            </div>
          )}
          {preview.problems.length === 0 && me.role === "planner" && <p className="soft">{t("life.managers")}</p>}
        </section>
      )}
    </div>
  );
}

function Preview({ preview, was, is }: { preview: LifePreview; was: Life; is: Life }) {
  const speech = useSpeech();
  const { t, say } = speech;
  if (preview.problems.length > 0) {
    return <div className="problem" style={{ display: "block" }}><strong>{t("life.problems")}</strong><ul>{preview.problems.map((one) => <li key={one}>{one}</li>)}</ul></div>;
  }
  return (
    <>
      {preview.sentences.length === 0 ? <p className="soft">{t("life.nothing")}</p> : <ul className="stack tight">{preview.sentences.map((one) => <li key={one.en}>{say(one)}</li>)}</ul>}
      <details><summary>{t("life.inDetail")}</summary><Difference was={lifeLines(was, speech)} is={lifeLines(is, speech)} /></details>
      <h3>{t("life.standings")}</h3>
      <Standings items={preview.open_tickets} />
      <p className="soft">{t("life.stay")}</p>
    </>
  );
}

function Tables({ draft, change, words }: { draft: Life; change: (next: Life) => void; words: Lifecycles }) {
  const speech = useSpeech();
  const { t, say } = speech;
  const [opened, setOpened] = useState<Opened>(null);
  const step = opened && "step" in opened ? opened.step : null;
  const state = opened && "state" in opened ? opened.state : null;
  const drop = (at: number) => {
    change({ ...draft, transitions: draft.transitions.filter((_, i) => i !== at) });
    setOpened(null);
  };
  const add = () => {
    const fresh = { from: [draft.initial], to: "cancelled", label: { en: "", zh: "" }, roles: ["planner"], guards: [], requires: [] };
    change({ ...draft, transitions: [...draft.transitions, fresh] });
    setOpened({ step: draft.transitions.length });
  };
  const call = (at: number) => {
    const one = draft.transitions[at];
    return one ? `${say(one.label)}: ${one.from.map((from) => stateName(draft, from, speech)).join(", ")} → ${stateName(draft, one.to, speech)}` : "";
  };
  return (
    <>
      <h2>{t("life.states")}</h2>
      <StateTable life={draft} actions={(name) => <Button size="xs" variant="default" aria-label={`${t("setting.change")} ${stateName(draft, name, speech)}`} onClick={() => setOpened({ state: name })}>{t("setting.change")}</Button>} />
      <div className="row" style={{ alignItems: "flex-end" }}>
        <Button size="xs" variant="default" onClick={() => setOpened({ state: "" })}>{t("life.addState")}</Button>
        <NativeSelect
          label={t("life.initial")} size="xs" value={draft.initial} onChange={(event) => change({ ...draft, initial: event.currentTarget.value })}
          data={ordered(draft).map((value) => ({ value, label: stateName(draft, value, speech) }))}
        />
      </div>
      {state !== null && <StateForm key={state} life={draft} name={state} words={words} change={change} close={() => setOpened(null)} />}
      <h2>{t("life.steps")}</h2>
      <StepTable
        life={draft}
        actions={(at) => (
          <span className="row" style={{ flexWrap: "nowrap" }}>
            <Button size="xs" variant="default" aria-label={`${t("setting.change")} ${call(at)}`} onClick={() => setOpened({ step: at })}>{t("setting.change")}</Button>
            <Button size="xs" variant="default" aria-label={`${t("setting.remove")} ${call(at)}`} onClick={() => drop(at)}>{t("setting.remove")}</Button>
          </span>
        )}
      />
      <div><Button size="xs" variant="default" onClick={add}>{t("life.addStep")}</Button></div>
      {step !== null && draft.transitions[step] && <StepForm key={step} life={draft} at={step} words={words} change={change} close={() => setOpened(null)} />}
    </>
  );
}
