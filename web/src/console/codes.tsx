// Failure codes: modes, mechanisms and causes that ship, and those that a site adds.
import { useState, type FormEvent } from "react";
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { call } from "../api/client";
import { refreshSettings, useFailureCodes, type FailureCode } from "../api/settings";
import type { Me } from "../api/types";
import { useSpeech } from "../i18n";
import { filled, Head, Refused, useJob } from "../parts/setting";
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
  const job = useJob();
  const wanted = text.trim().toLowerCase();
  const shown = items.filter((one) => one.part === part && `${one.code} ${one.name.en} ${one.name.zh} ${one.asset_class}`.toLowerCase().includes(wanted));
  const mechanism = (one: FailureCode) => items.find((other) => other.part === "mechanism" && other.code === one.mechanism)?.name ?? one.mechanism;
  const retire = (one: FailureCode) => job.run(async () => {
    await call(`/failure-codes/${one.code_id}`, { method: "DELETE" });
    await refreshSettings();
    toast(t("fc.retired", { code: one.code }));
  });
  return (
    <div className="stack">
      {may && <NewCode part={part} />}
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
                    : may ? <Button size="xs" variant="default" loading={job.busy} aria-label={`${t("cf.retire")} ${one.code}`} onClick={() => void retire(one)}>{t("cf.retire")}</Button> : t("fc.own")}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
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
