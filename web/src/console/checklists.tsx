// Checklists of the site: which there are, and one written anew as its next revision.
import { useState } from "react";
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { call } from "../api/client";
import { refreshSettings, templates, useTemplates, type CheckItem, type CheckTemplate } from "../api/settings";
import { useSpeech, type Speech } from "../i18n";
import { Age } from "../parts/marks";
import { both, Difference, filled, Head, isConflict, Overtaken, Refused, useJob, type Lines } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";
import { go } from "../router";
import { ItemForm } from "./checklist_item";
import { ROW } from "./list_keys";

const ORDERS = ["corrective", "preventive", "inspection"];
type Draft = Pick<CheckTemplate, "code" | "asset_class" | "mode" | "kind" | "title" | "items" | "state">;
const NEW: Draft = { code: "", asset_class: "", mode: "", kind: "", title: { en: "", zh: "" }, items: [], state: "active" };

export default function ChecklistsPage({ id }: { id: string | undefined }) {
  const { t } = useSpeech();
  const known = useTemplates();
  return (
    <Await query={known}>
      {(items) => {
        if (!id) return <List items={items} />;
        if (id === "new") return <Form template={null} />;
        const found = items.find((one) => one.code === id);
        return found ? <Form key={found.template_id} template={found} /> : <Empty title={t("app.notFound")} />;
      }}
    </Await>
  );
}

function scope(one: CheckTemplate, speech: Speech): string {
  const parts = [one.asset_class, one.mode, one.kind && speech.code("kind", one.kind)].filter(Boolean);
  return parts.join(" · ") || speech.t("clist.everything");
}

function List({ items }: { items: CheckTemplate[] }) {
  const speech = useSpeech();
  const { t, say } = speech;
  return (
    <>
      <Head title={t("setting.checklists")} lead={t("setting.checklistsLead")} back={t("setting.title")} backTo="#/settings">
        <Button component="a" href="#/settings/checklists/new">{t("clist.new")}</Button>
      </Head>
      {items.length === 0 ? <div className="panel"><Empty title={t("clist.empty")} /></div> : (
        <div className="scroll">
          <table className="list cards middle">
            <thead><tr><th scope="col">{t("clist.title")}</th><th scope="col">{t("clist.scope")}</th><th scope="col" className="num">{t("clist.lines")}</th><th scope="col">{t("clist.revision")}</th><th scope="col">{t("clist.state")}</th></tr></thead>
            <tbody>
              {items.map((one) => (
                <tr key={one.code}>
                  <th scope="row"><a className="title" href={`#/settings/checklists/${one.code}`} {...{ [ROW]: "" }}>{say(one.title)}</a> <code className="soft small">{one.code}</code></th>
                  <td data-label={t("clist.scope")}>{scope(one, speech)}</td>
                  <td data-label={t("clist.lines")} className="num">{one.items.length}</td>
                  <td data-label={t("clist.revision")}><span>{one.revision} <span className="soft small">{one.shipped ? t("slas.shipped") : one.by} <Age at={one.made_at} /></span></span></td>
                  <td data-label={t("clist.state")}>{t(one.state === "active" ? "life.active" : "clist.retired")}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </>
  );
}

function itemText(item: CheckItem, speech: Speech): string {
  const { code, say, t } = speech;
  const limits = item.low != null || item.high != null ? `${item.low ?? "…"} – ${item.high ?? "…"} ${item.unit ?? ""}` : item.unit;
  const choices = item.choices?.map((one) => `${say(one.label)}${one.outcome === "failed" ? " ✗" : ""}`).join(" / ");
  const when = item.when ? t("clist.whenIs", { item: item.when.item, relation: code("clRelation", item.when.relation), value: String(item.when.value) }) : "";
  const photo = item.photo && item.photo !== "never" ? code("clPhoto", item.photo) : "";
  const optional = item.need === "optional" ? code("clNeed", "optional") : "";
  const note = item.on_failure === "note" ? code("clFailure", "note") : "";
  return [code("clType", item.type), limits, choices, optional, photo, note, when].filter(Boolean).join(" · ");
}

function linesOfDraft(draft: Draft, speech: Speech): Lines {
  const { t } = speech;
  return {
    [t("clist.title")]: `${draft.title.en} / ${draft.title.zh}`,
    [t("clist.scope")]: [draft.asset_class, draft.mode, draft.kind].filter(Boolean).join(" · "),
    [t("clist.state")]: draft.state,
    [t("clist.order")]: draft.items.map((one) => one.code).join(", "),
    ...Object.fromEntries(draft.items.map((one) => [one.code, `${one.text.en} / ${one.text.zh} · ${itemText(one, speech)}`])),
  };
}

function draftOf(template: CheckTemplate | null): Draft {
  if (!template) return NEW;
  const { code, asset_class, mode, kind, title, items, state } = template;
  return { code, asset_class, mode, kind, title: both(title), items, state };
}

function Form({ template }: { template: CheckTemplate | null }) {
  const speech = useSpeech();
  const { t, say, code } = speech;
  const job = useJob();
  const [draft, setDraft] = useState<Draft>(draftOf(template));
  const [opened, setOpened] = useState<number | null>(null);
  const [theirs, setTheirs] = useState<CheckTemplate | null>(null);
  const [seen, setSeen] = useState(template);
  const set = (more: Partial<Draft>) => setDraft({ ...draft, ...more });
  const put = (at: number, item: CheckItem) => set({ items: draft.items.map((one, i) => (i === at ? item : one)) });
  const move = (at: number, by: number) => {
    const items = [...draft.items];
    const [one] = items.splice(at, 1);
    items.splice(at + by, 0, one as CheckItem);
    set({ items });
    setOpened(null);
  };
  const add = () => {
    set({ items: [...draft.items, { code: `line-${draft.items.length + 1}`, type: "tick", text: { en: "", zh: "" } }] });
    setOpened(draft.items.length);
  };
  const publish = () => job.run(async () => {
    const { code: key, ...body } = { ...draft, title: filled(draft.title), items: draft.items.map(sendable) };
    try {
      if (seen) await call(`/checklists/${seen.template_id}`, { method: "PUT", version: seen.revision, body });
      else await call("/checklists", { method: "POST", body: { ...body, code: key } });
    } catch (error) {
      if (isConflict(error as never)) setTheirs((await templates()).find((one) => one.code === key) ?? null);
      throw error;
    }
    await refreshSettings();
    toast(t("clist.published"));
    go(`/settings/checklists/${draft.code}`, "replace");
  });
  const settle = (next: Draft) => {
    setDraft(next);
    setSeen(theirs);
    setTheirs(null);
    job.clear();
  };
  return (
    <>
      <Head title={template ? say(template.title) : t("clist.new")} lead={t("clist.lead")} back={t("setting.checklists")} backTo="#/settings/checklists" />
      <div className="stack">
        <section className="panel stack">
          <div className="row" style={{ alignItems: "flex-end" }}>
            {!template && <TextInput label={t("life.key")} description={t("clist.codeHint")} withAsterisk value={draft.code} onChange={(event) => set({ code: event.currentTarget.value })} />}
            <TextInput label={t("setting.nameEn")} value={draft.title.en} onChange={(event) => set({ title: { ...draft.title, en: event.currentTarget.value } })} />
            <TextInput label={t("setting.nameZh")} value={draft.title.zh} onChange={(event) => set({ title: { ...draft.title, zh: event.currentTarget.value } })} />
            <TextInput label={t("clist.class")} placeholder={t("clist.any")} value={draft.asset_class} onChange={(event) => set({ asset_class: event.currentTarget.value })} />
            <TextInput label={t("clist.mode")} placeholder={t("clist.any")} value={draft.mode} onChange={(event) => set({ mode: event.currentTarget.value })} />
            <NativeSelect label={t("life.kind")} value={draft.kind} data={[{ value: "", label: t("clist.any") }, ...ORDERS.map((value) => ({ value, label: code("kind", value) }))]} onChange={(event) => set({ kind: event.currentTarget.value })} />
            <NativeSelect label={t("clist.state")} value={draft.state} data={[{ value: "active", label: t("life.active") }, { value: "retired", label: t("clist.retired") }]} onChange={(event) => set({ state: event.currentTarget.value as Draft["state"] })} />
          </div>
        </section>
        <section className="panel stack">
          <h2>{t("clist.lines")}</h2>
          <ol className="stack" style={{ listStyle: "none" }}>
            {draft.items.map((one, at) => (
              <li key={at} className="stack tight" style={{ borderBottom: "1px solid var(--line)", paddingBottom: 10 }}>
                <div className="row between">
                  <span style={{ flex: "1 1 220px" }}><strong>{at + 1}. {say(one.text) || one.code}</strong> <code className="soft small">{one.code}</code><br /><span className="soft small">{itemText(one, speech)}</span></span>
                  <span className="row" style={{ flexWrap: "nowrap" }}>
                    <Button size="xs" variant="default" disabled={at === 0} aria-label={t("clist.up", { code: one.code })} onClick={() => move(at, -1)}>↑</Button>
                    <Button size="xs" variant="default" disabled={at === draft.items.length - 1} aria-label={t("clist.down", { code: one.code })} onClick={() => move(at, 1)}>↓</Button>
                    <Button size="xs" variant="default" aria-expanded={opened === at} aria-label={`${t("setting.change")} ${one.code}`} onClick={() => setOpened(opened === at ? null : at)}>{t("setting.change")}</Button>
                    <Button size="xs" variant="default" aria-label={`${t("setting.remove")} ${one.code}`} onClick={() => { set({ items: draft.items.filter((_, i) => i !== at) }); setOpened(null); }}>{t("setting.remove")}</Button>
                  </span>
                </div>
                {opened === at && <ItemForm item={one} earlier={draft.items.slice(0, at)} change={(next) => put(at, next)} />}
              </li>
            ))}
          </ol>
          <div><Button size="xs" variant="default" onClick={add}>{t("clist.addLine")}</Button></div>
        </section>
        {template && <section className="panel stack"><h2>{t("slas.changes")}</h2><Difference was={linesOfDraft(draftOf(template), speech)} is={linesOfDraft(draft, speech)} /></section>}
        {theirs
          ? <Overtaken by={theirs.by} mine={linesOfDraft(draft, speech)} theirs={linesOfDraft(draftOf(theirs), speech)} take={() => settle(draftOf(theirs))} keep={() => settle(draft)} />
          : <Refused problem={job.problem} />}
        <div><Button loading={job.busy} disabled={!draft.code || draft.items.length === 0 || !(draft.title.en || draft.title.zh)} onClick={() => void publish()}>{t("clist.publish")}</Button></div>
      </div>
    </>
  );
}

function sendable(item: CheckItem): CheckItem {
  const { choices, ...rest } = item;
  return { ...rest, text: filled(both(item.text)), ...(item.type === "choice" ? { choices: choices?.map((one) => ({ ...one, label: filled(one.label) })) } : {}) };
}
