// Assets from Excel or CSV: first what would happen, row by row; then all of it, or nothing.
import { useState } from "react";
import { Button, FileInput } from "@mantine/core";
import { sendTable, tableUrl, type Counted, type TableItem, type TableResult } from "../api/asset_table";
import { useSpeech, type Key } from "../i18n";
import { number } from "../i18n/format";
import { Head, Refused, useJob } from "../parts/setting";
import { Empty } from "../parts/states";

export default function AssetImport() {
  const { t, language } = useSpeech();
  const job = useJob();
  const [file, setFile] = useState<File | null>(null);
  const [found, setFound] = useState<TableResult | null>(null);
  const choose = (next: File | null) => {
    setFile(next);
    setFound(null);
    job.clear();
  };
  const run = (dryRun: boolean) => job.run(async () => setFound(file ? await sendTable(file, dryRun) : null));
  const ready = found !== null && !found.applied && found.problems.length === 0;
  return (
    <>
      <Head title={t("atable.title")} lead={t("atable.lead")} back={t("asset.title")} backTo="#/assets" />
      <section className="panel stack">
        <FileInput
          label={t("atable.file")} description={t("atable.fileHint")} placeholder={t("atable.choose")} value={file} onChange={choose}
          accept=".csv,.xlsx" clearable clearButtonProps={{ "aria-label": t("atable.clear") }}
        />
        <div className="row">
          <Button disabled={!file} loading={job.busy} variant={ready ? "default" : "filled"} onClick={() => void run(true)}>{t("atable.dryRun")}</Button>
          <Button disabled={!ready} loading={job.busy} onClick={() => void run(false)}>{t("atable.apply")}</Button>
          <a href={tableUrl("xlsx", language)} download>{t("atable.exportXlsx")}</a>
          <a href={tableUrl("csv", language)} download>{t("atable.exportCsv")}</a>
        </div>
        <Refused problem={job.problem} />
      </section>
      {found && <Found found={found} />}
    </>
  );
}

function Found({ found }: { found: TableResult }) {
  const { t } = useSpeech();
  return (
    <section className="stack" style={{ marginTop: 16 }} aria-live="polite">
      <div className="panel stack tight">
        <h2>{t(found.applied ? "atable.done" : found.problems.length ? "atable.refused" : "atable.would")}</h2>
        <Counts label={t("asset.title")} counted={found.assets} />
        <Counts label={t("asset.signals")} counted={found.signals} />
      </div>
      {found.problems.length > 0 && <Problems found={found} />}
      {found.items.length > 0 ? <Items items={found.items} /> : found.problems.length === 0 && <div className="panel"><Empty title={t("atable.same")} /></div>}
    </section>
  );
}

function Counts({ label, counted }: { label: string; counted: Counted }) {
  const speech = useSpeech();
  const { t } = speech;
  const names = ["created", "changed", "unchanged"] as const;
  return <p><strong>{label}</strong>: {names.map((name) => `${number(counted[name], speech)} ${t(`atable.${name}` as Key)}`).join(" · ")}</p>;
}

function Problems({ found }: { found: TableResult }) {
  const { t, say } = useSpeech();
  return (
    <div className="scroll">
      <table className="list cards">
        <caption className="hidden">{t("atable.problems")}</caption>
        <thead><tr><th scope="col" className="num">{t("atable.row")}</th><th scope="col">{t("atable.column")}</th><th scope="col">{t("atable.todo")}</th></tr></thead>
        <tbody>
          {found.problems.map((one, at) => (
            <tr key={at}>
              <th scope="row" className="num">{one.row}</th>
              <td data-label={t("atable.column")}>{one.column || "–"}</td>
              <td data-label={t("atable.todo")}>{say(one.message)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Items({ items }: { items: TableItem[] }) {
  const { t } = useSpeech();
  return (
    <div className="scroll">
      <table className="list cards">
        <caption className="hidden">{t("atable.changes")}</caption>
        <thead>
          <tr>
            <th scope="col">{t("asset.name")}</th><th scope="col" className="num">{t("atable.row")}</th>
            <th scope="col">{t("atable.what")}</th><th scope="col">{t("atable.fields")}</th>
          </tr>
        </thead>
        <tbody>
          {items.map((one) => (
            <tr key={`${one.row} ${one.asset} ${one.signal ?? ""}`}>
              <th scope="row">{one.asset} {one.signal ?? ""}</th>
              <td data-label={t("atable.row")} className="num">{one.row}</td>
              <td data-label={t("atable.what")}><span className="chip">{t(`atable.${one.change}` as Key)}</span></td>
              <td data-label={t("atable.fields")}><Fields one={one} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Fields({ one }: { one: TableItem }) {
  const { code } = useSpeech();
  if (one.change === "created") return <span className="soft">{one.fields.map((each) => each.after).join(" · ")}</span>;
  return (
    <ul className="stack tight">
      {one.fields.map((each) => <li key={each.name}>{code("atableField", each.name)}: <s>{each.before ?? "–"}</s> → <strong>{each.after ?? "–"}</strong></li>)}
    </ul>
  );
}
