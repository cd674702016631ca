// Failure codes: modes, mechanisms and causes that ship, and those that a site adds.
import { useState, type FormEvent } from "react";
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { call } from "../api/client";
import { failureCodes, refreshSettings, useFailureCodes, type FailureCode } from "../api/settings";
import type { Me, Words } from "../api/types";
import { useSpeech, type Speech } from "../i18n";
import { filled, Head, isConflict, Overtaken, Refused, useJob, type Lines } from "../parts/setting";
import { Await } from "../parts/states";
import { toast } from "../parts/toasts";

const PARTS = ["mode", "mechanism", "cause"] as const;
type Part = (typeof PARTS)[number];

export default function CodesPage({ me }: { me: Me }) {
  const { t } = useSpeech();
  const codes = useFailureCodes();
  const may = me.role !== "planner";
  return (
    <>
      <Head title={t("setting.codes")} lead={t("fc.lead")} back={t("setting.title")} backTo="#/settings" />
      <Await query={codes}>{(items) => <Body items={items} may={may} />}</Await>
    </>
  );
}

function Body({ items, may }: { items: FailureCode[]; may: boolean }) {
  const { t, code, say } = useSpeech();
  const [part, setPart] = useState<Part>("mode");
  const [text, setText] = useState("");
  const [edited, setEdited] = useState<FailureCode | null>(null);
  const job = useJob();
  const wanted = text.trim().toLowerCase();
  const shown = items.filter((one) => one.part === part && `${one.code} ${one.name.en} ${one.name.zh} ${one.asset_class}`.toLowerCase().includes(wanted));
  const mechanism = (one: FailureCode) => items.find((other) => other.part === "mechanism" && other.code === one.mechanism)?.name ?? one.mechanism;
  const retire = (one: FailureCode) => job.run(async () => {
    try {
      await call(`/failure-codes/${one.code_id}`, { method: "DELETE", version: one.version });
    } finally {
      await refreshSettings(); // a refusal too: what somebody else made of it is to be seen
    }
    toast(t("fc.retired", { code: one.code }));
  });
  return (
    <div className="stack">
      {may && (edited ? <Rename key={edited.code_id} one={edited} close={() => setEdited(null)} /> : <NewCode part={part} />)}
      <Refused problem={job.problem} />
      <div className="row" style={{ alignItems: "flex-end" }}>
        <NativeSelect label={t("fc.part")} value={part} data={PARTS.map((value) => ({ value, label: code("fcPart", value) }))} onChange={(event) => setPart(event.currentTarget.value as Part)} />
        <TextInput label={t("fc.find")} value={text} onChange={(event) => setText(event.currentTarget.value)} />
        <span className="soft">{t("fc.count", { n: shown.length })}</span>
      </div>
      <div className="scroll">
        <table className="list cards middle">
          <thead><tr><th scope="col">{t("fc.code")}</th><th scope="col">{t("fc.name")}</th><th scope="col">{t("fc.class")}</th><th scope="col">{t("fc.mechanism")}</th><th scope="col">{t("fc.origin")}</th></tr></thead>
          <tbody>
            {shown.map((one) => (
              <tr key={`${one.part} ${one.asset_class} ${one.code}`}>
                <th scope="row"><code>{one.code}</code></th>
                <td data-label={t("fc.name")}>{say(one.name)}</td>
                <td data-label={t("fc.class")}>{one.asset_class || t("fc.every")}</td>
                <td data-label={t("fc.mechanism")}>{say(mechanism(one)) || "–"}</td>
                <td data-label={t("fc.origin")}>
                  {one.code_id === null ? <span className="soft">{t("slas.shipped")}</span>
                    : !may ? t("fc.own") : (
                      <span className="row" style={{ flexWrap: "nowrap" }}>
                        <Button size="xs" variant="default" aria-label={`${t("setting.change")} ${one.code}`} onClick={() => setEdited(one)}>{t("setting.change")}</Button>
                        <Button size="xs" variant="default" loading={job.busy} aria-label={`${t("cf.retire")} ${one.code}`} onClick={() => void retire(one)}>{t("cf.retire")}</Button>
                      </span>
                    )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
  );
}

function linesOfName(name: Words, { t }: Speech): Lines {
  return { [t("setting.nameEn")]: name.en, [t("setting.nameZh")]: name.zh };
}

function Rename({ one, close }: { one: FailureCode; close: () => void }) {
  const speech = useSpeech();
  const { t } = speech;
  const job = useJob();
  const [name, setName] = useState(one.name);
  const [version, setVersion] = useState(one.version);
  const [theirs, setTheirs] = useState<FailureCode | null>(null);
  const save = () => job.run(async () => {
    try {
      await call(`/failure-codes/${one.code_id}`, { method: "PATCH", version, body: { name: filled(name) } });
    } catch (error) {
      if (isConflict(error as never)) setTheirs((await failureCodes()).find((other) => other.code_id === one.code_id) ?? null);
      throw error;
    }
    await refreshSettings();
    toast(t("cf.saved"));
    close();
  });
  const settle = (next: Words) => {
    setName(next);
    setVersion(theirs?.version ?? version);
    setTheirs(null);
    job.clear();
  };
  return (
    <form className="panel stack" onSubmit={(event) => { event.preventDefault(); void save(); }}>
      <h2>{t("cf.changeOf", { key: one.code })}</h2>
      <div className="row" style={{ alignItems: "flex-end" }}>
        <TextInput label={t("setting.nameEn")} value={name.en} onChange={(event) => setName({ ...name, en: event.currentTarget.value })} />
        <TextInput label={t("setting.nameZh")} value={name.zh} onChange={(event) => setName({ ...name, zh: event.currentTarget.value })} />
        <Button type="submit" loading={job.busy} disabled={!(name.en || name.zh)}>{t("app.save")}</Button>
        <Button variant="default" onClick={close}>{t("app.cancel")}</Button>
      </div>
      {theirs
        ? <Overtaken by={theirs.changed_by} mine={linesOfName(name, speech)} theirs={linesOfName(theirs.name, speech)} take={() => settle(theirs.name)} keep={() => settle(name)} />
        : <Refused problem={job.problem} />}
    </form>
  );
}

function NewCode({ part }: { part: Part }) {
  const { t, code } = useSpeech();
  const job = useJob();
  const [text, setText] = useState("");
  const [name, setName] = useState({ en: "", zh: "" });
  const [assetClass, setAssetClass] = useState("");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void job.run(async () => {
      await call("/failure-codes", { method: "POST", body: { part, code: text.trim(), name: filled(name), asset_class: assetClass.trim() } });
      await refreshSettings();
      toast(t("fc.added", { code: text.trim() }));
      setText("");
      setName({ en: "", zh: "" });
    });
  };
  return (
    <form className="panel stack" onSubmit={submit}>
      <h2>{t("fc.add", { part: code("fcPart", part) })}</h2>
      <div className="row" style={{ alignItems: "flex-end" }}>
        <TextInput label={t("fc.code")} withAsterisk value={text} onChange={(event) => setText(event.currentTarget.value)} />
        <TextInput label={t("setting.nameEn")} value={name.en} onChange={(event) => setName({ ...name, en: event.currentTarget.value })} />
        <TextInput label={t("setting.nameZh")} value={name.zh} onChange={(event) => setName({ ...name, zh: event.currentTarget.value })} />
        <TextInput label={t("fc.class")} placeholder={t("fc.every")} value={assetClass} onChange={(event) => setAssetClass(event.currentTarget.value)} />
        <Button type="submit" loading={job.busy} disabled={!text.trim() || !(name.en || name.zh)}>{t("fc.addIt")}</Button>
      </div>
      <Refused problem={job.problem} />
    </form>
  );
}
