// One guide: written in both languages or one, looked at as the phone shows it, then published; every text before it stays.
import { useState } from "react";
import { Button, NativeSelect, NumberInput, SegmentedControl, TagsInput, Textarea, TextInput } from "@mantine/core";
import { call, Problem } from "../api/client";
import { NEW_GUIDE, trimmed, useDiff, useGuide, useRevision, useRevisions, type GuideShown, type GuideText as Content, type Revision, type Said, type StepText } from "../api/guides";
import { queryClient } from "../api/queries";
import type { Language, Me } from "../api/types";
import { useSpeech, type Key, type Speech } from "../i18n";
import { useDraft } from "../parts/draft";
import { GuideText } from "../parts/guide_text";
import { Age } from "../parts/marks";
import { Overtaken, type Lines } from "../parts/setting";
import { Await } from "../parts/states";
import { toast } from "../parts/toasts";
import { go } from "../router";
import { StepPicture } from "./guide_picture";
import { StateOf } from "./guides";

const LANGUAGES: { value: Language; label: string }[] = [{ value: "en", label: "English" }, { value: "zh", label: "中文" }];
const PUBLISHERS = new Set(["planner", "manager", "admin"]);
const WRITERS = new Set([...PUBLISHERS, "engineer"]);

export default function GuidePage({ articleId, me }: { articleId: number | null; me: Me }) {
  return articleId === null ? <Editor guide={null} text={null} me={me} /> : <Known key={articleId} articleId={articleId} me={me} />;
}

function Known({ articleId, me }: { articleId: number; me: Me }) {
  const guide = useGuide(articleId);
  const head = useRevision(articleId, WRITERS.has(me.role) ? guide.data?.head ?? null : null);
  return (
    <Await query={guide}>
      {(found) => WRITERS.has(me.role) && found.head !== null
        ? <Await query={head}>{(revision) => <Editor guide={found} text={revision.number === found.head ? revision : null} me={me} />}</Await>
        : <Read guide={found} />}
    </Await>
  );
}

function Read({ guide }: { guide: GuideShown }) {
  const { say } = useSpeech();
  return <><Head guide={guide} /><section className="panel"><h2>{say(guide.title)}</h2><GuideText body={guide.body} steps={guide.steps} /></section></>;
}

function Head({ guide }: { guide: GuideShown | null }) {
  const { t, say } = useSpeech();
  return (
    <div>
      <p><a href="#/guides">{t("guides.title")}</a></p>
      <h1>{guide ? say(guide.title) : t("guides.new")}</h1>
      {guide && <div className="row"><StateOf guide={guide} /><span className="soft small">{guide.code} · <Age at={guide.updated_at} /></span></div>}
    </div>
  );
}

type Written = { version: number; changed_by: string; content: Content };

/** ``text`` null: the guide is new, or its newest revision is still being read. */
function Editor({ guide, text, me }: { guide: GuideShown | null; text: Revision | null; me: Me }) {
  const { t, language: mine } = useSpeech();
  const standing = guide && text ? { version: guide.version, changed_by: text.by_name, content: text.content } : null;
  const { draft, set: setDraft, base, version, theirs, take, keep, saved } = useDraft<Written, Content>(standing, (one) => one.content, () => NEW_GUIDE);
  const [code, setCode] = useState("");
  const [note, setNote] = useState("");
  const [language, setLanguage] = useState<Language>(mine);
  const [busy, setBusy] = useState(false);
  const changed = JSON.stringify(trimmed(draft)) !== JSON.stringify(trimmed(base?.content ?? NEW_GUIDE));
  const run = async (work: () => Promise<void>) => {
    setBusy(true);
    try {
      await work();
      await queryClient.invalidateQueries({ queryKey: ["guide"] });
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.status === 412) await queryClient.invalidateQueries({ queryKey: ["guide"] }); // what somebody else made of it is to be seen
      toast(error.status === 412 ? t("guides.conflict") : error.message);
    } finally {
      setBusy(false);
    }
  };
  const save = () => run(async () => {
    const content = trimmed(draft);
    if (guide) {
      const made = await call<GuideShown>(`/articles/${guide.article_id}`, { method: "PUT", version, body: { content, note } });
      saved({ version: made.version, changed_by: me.name, content });
    } else go(`/guides/${(await call<GuideShown>("/articles", { method: "POST", body: { code, content, note } })).article_id}`, "replace");
    toast(t("guides.saved"));
  });
  const step = (verb: string, body: object = {}) => void run(async () => {
    await call(`/articles/${guide?.article_id}/${verb}`, { method: "POST", version: guide?.version, body });
  });
  return (
    <>
      <div className="page-head">
        <Head guide={guide} />
        {guide && PUBLISHERS.has(me.role) && (
          <div className="row">
            {(guide.state !== "published" || guide.unpublished) && <Button loading={busy} disabled={changed} onClick={() => step("publish")}>{t("guides.publish")}</Button>}
            {guide.state !== "archived" && <Button variant="default" loading={busy} onClick={() => step("archive")}>{t("guides.archive")}</Button>}
          </div>
        )}
      </div>
      <div className="guide-columns">
        <section className="panel stack">
          {!guide && <TextInput label={t("guides.code")} description={t("guides.codeHint")} withAsterisk value={code} onChange={(event) => setCode(event.currentTarget.value)} />}
          <Scope draft={draft} set={setDraft} />
          <SegmentedControl aria-label={t("guides.language")} value={language} onChange={(next) => setLanguage(next as Language)} data={LANGUAGES} />
          <TextInput label={t("guides.heading")} value={draft.title[language] ?? ""} onChange={(event) => setDraft({ ...draft, title: { ...draft.title, [language]: event.currentTarget.value } })} />
          <Textarea label={t("guides.body")} description={t("guides.bodyHint")} autosize minRows={8} maxRows={30} value={draft.body[language] ?? ""} onChange={(event) => setDraft({ ...draft, body: { ...draft.body, [language]: event.currentTarget.value } })} />
          <Steps steps={draft.steps} language={language} set={(steps) => setDraft({ ...draft, steps })} />
          <TextInput label={t("guides.note")} value={note} maxLength={500} onChange={(event) => setNote(event.currentTarget.value)} />
          {theirs && <Overtaken by={theirs.changed_by} mine={linesOf(draft, t)} theirs={linesOf(theirs.content, t)} take={take} keep={keep} />}
          <div className="row"><Button loading={busy} disabled={!changed || theirs !== null || (!guide && !code)} onClick={() => void save()}>{t("guides.save")}</Button></div>
        </section>
        <section className="panel stack">
          <h2>{t("guides.preview")}</h2>
          <h3>{draft.title[language] || t("guides.new")}</h3>
          <Preview draft={draft} language={language} />
        </section>
      </div>
      {guide && <History guide={guide} restore={(revision) => step("restore", { revision })} busy={busy} />}
    </>
  );
}

function linesOf(content: Content, t: Speech["t"]): Lines {
  const both = (name: string, text: Said) => LANGUAGES.map(({ value, label }) => [`${name} (${label})`, text[value] ?? ""]);
  const limits = (step: StepText) => [step.low ?? "", step.high ?? ""].some((one) => one !== "") ? `${step.low ?? ""} … ${step.high ?? ""} ${step.unit ?? ""}`.trim() : "";
  return Object.fromEntries([
    [t("guides.classes"), content.classes.join(", ")], [t("guides.modes"), content.modes.join(", ")],
    ...both(t("guides.heading"), content.title), ...both(t("guides.body"), content.body),
    ...content.steps.flatMap((step, at) => [...both(t("guides.step", { n: at + 1 }), step.text), [`${t("guides.step", { n: at + 1 })} ${t("guides.low")} … ${t("guides.high")}`, limits(step)]]),
  ]) as Lines;
}

function Preview({ draft, language }: { draft: Content; language: Language }) {
  const said = (text: Partial<Record<Language, string>>) => ({ en: text[language] ?? "", zh: text[language] ?? "" });
  const steps = draft.steps.map((step) => ({ unit: "", low: null, high: null, picture: null, sources: [], ...step, text: said(step.text) }));
  return <GuideText body={said(draft.body)} steps={steps} />;
}

function Scope({ draft, set }: { draft: Content; set: (next: Content) => void }) {
  const { t } = useSpeech();
  return (
    <>
      <TagsInput label={t("guides.classes")} description={t("guides.noneIsAll")} value={draft.classes} onChange={(classes) => set({ ...draft, classes })} />
      <TagsInput label={t("guides.modes")} description={t("guides.noneIsAll")} value={draft.modes} onChange={(modes) => set({ ...draft, modes })} />
    </>
  );
}

function Steps({ steps, language, set }: { steps: StepText[]; language: Language; set: (steps: StepText[]) => void }) {
  const { t } = useSpeech();
  const put = (at: number, change: Partial<StepText>) => set(steps.map((step, index) => (index === at ? { ...step, ...change } : step)));
  const optional = (value: string | number) => (value === "" ? null : Number(value));
  return (
    <>
      <h2>{t("guides.steps")}</h2>
      {steps.map((step, at) => (
        <fieldset key={at} className="panel stack">
          <legend className="hidden">{t("guides.step", { n: at + 1 })}</legend>
          <Textarea label={t("guides.step", { n: at + 1 })} autosize minRows={1} value={step.text[language] ?? ""} onChange={(event) => put(at, { text: { ...step.text, [language]: event.currentTarget.value } })} />
          <div className="row" style={{ alignItems: "flex-end" }}>
            <NumberInput label={t("guides.low")} w={110} value={step.low ?? ""} onChange={(value) => put(at, { low: optional(value) })} />
            <NumberInput label={t("guides.high")} w={110} value={step.high ?? ""} onChange={(value) => put(at, { high: optional(value) })} />
            <TextInput label={t("guides.unit")} w={90} value={step.unit ?? ""} onChange={(event) => put(at, { unit: event.currentTarget.value })} />
            <Button size="xs" variant="default" onClick={() => set(steps.filter((_, index) => index !== at))}>{t("guides.remove", { n: at + 1 })}</Button>
          </div>
          <StepPicture n={at + 1} picture={step.picture ?? null} choose={(picture) => put(at, { picture })} />
        </fieldset>
      ))}
      <div><Button size="xs" variant="default" onClick={() => set([...steps, { text: {} }])}>{t("guides.addStep")}</Button></div>
    </>
  );
}

function History({ guide, restore, busy }: { guide: GuideShown; restore: (revision: number) => void; busy: boolean }) {
  const { t } = useSpeech();
  const revisions = useRevisions(guide.article_id);
  const [before, setBefore] = useState<number | null>(null);
  const [after, setAfter] = useState<number | null>(null);
  const newest = revisions.data?.[0]?.number ?? null;
  const diff = useDiff(guide.article_id, before ?? (newest === null ? null : newest - 1 || null), after ?? newest);
  return (
    <section className="stack" style={{ marginTop: 20 }}>
      <h2>{t("guides.revisions")}</h2>
      <Await query={revisions}>
        {(rows) => (
          <>
            <ul className="stack tight">
              {rows.map((row) => (
                <li key={row.number} className="row">
                  <strong>{row.number}</strong> {row.by_name} <Age at={row.made_at} /> <span className="chip">{t(`guides.origin.${row.origin}` as Key)}</span>
                  {row.number === guide.published && <span className="chip accent">{t("guides.published")}</span>}
                  {row.note && <span className="soft">{row.note}</span>}
                  {row.number !== guide.head && <Button size="compact-xs" variant="default" loading={busy} onClick={() => restore(row.number)}>{t("guides.restore", { n: row.number })}</Button>}
                </li>
              ))}
            </ul>
            {rows.length > 1 && (
              <div className="row" style={{ alignItems: "flex-end" }}>
                <Choice label={t("guides.before")} rows={rows.map((row) => row.number)} value={before ?? rows[1]!.number} set={setBefore} />
                <Choice label={t("guides.after")} rows={rows.map((row) => row.number)} value={after ?? rows[0]!.number} set={setAfter} />
              </div>
            )}
          </>
        )}
      </Await>
      {diff.data && <pre className="panel guide-diff" tabIndex={0} aria-label={t("guides.difference")}>{diff.data.lines.slice(2).map((line, at) => <span key={at} className={LINE[line[0] ?? ""] ?? ""}>{line}{"\n"}</span>)}</pre>}
    </section>
  );
}

const LINE: Record<string, string> = { "+": "plus", "-": "minus", "@": "soft" };

function Choice({ label, rows, value, set }: { label: string; rows: number[]; value: number; set: (next: number) => void }) {
  return <NativeSelect label={label} value={String(value)} data={rows.map(String)} onChange={(event) => set(Number(event.currentTarget.value))} />;
}
