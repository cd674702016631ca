// Failure-mode libraries: what each class of machine can suffer from, how it shows, and what then helps.
import { useState } from "react";
import { Button, Textarea, TextInput } from "@mantine/core";
import { libraryVersionFile, useLibraryVersions, useLibraries, useLibrary, type LibraryPreview, type ModeDetail, type Sign } from "../api/asset_table";
import { call } from "../api/client";
import { queryClient } from "../api/queries";
import type { Me } from "../api/types";
import { useSpeech } from "../i18n";
import { number } from "../i18n/format";
import { Age } from "../parts/marks";
import { Head, Refused, useJob } from "../parts/setting";
import { Await } from "../parts/states";
import { ROW } from "./list_keys";

export default function Libraries({ assetClass, me }: { assetClass: string | undefined; me: Me }) {
  return assetClass ? <OneClass assetClass={assetClass} /> : <Classes me={me} />;
}

function Classes({ me }: { me: Me }) {
  const { t } = useSpeech();
  const found = useLibraries();
  return (
    <>
      <Head title={t("lib.title")} lead={t("lib.lead")} back={t("asset.title")} backTo="#/assets" />
      <Await query={found}>
        {({ items, refused }) => (
          <div className="stack">
            {refused.map((one) => <p key={one.file} className="problem" role="alert">{one.file}: {one.why}</p>)}
            <Table items={items} />
          </div>
        )}
      </Await>
      {me.role === "admin" && <Upload />}
    </>
  );
}

function Table({ items }: { items: NonNullable<ReturnType<typeof useLibraries>["data"]>["items"] }) {
  const speech = useSpeech();
  const { t, say, code } = speech;
  return (
    <div className="scroll">
      <table className="list cards middle">
        <caption className="hidden">{t("lib.title")}</caption>
        <thead>
          <tr>
            <th scope="col">{t("asset.class")}</th><th scope="col" className="num">{t("lib.modes")}</th>
            <th scope="col" className="num">{t("lib.machines")}</th><th scope="col">{t("lib.source")}</th>
          </tr>
        </thead>
        <tbody>
          {items.map((one) => (
            <tr key={one.asset_class}>
              <th scope="row"><a className="title" href={`#/assets/classes/${one.asset_class}`} {...{ [ROW]: "" }}>{say(one.name)}</a></th>
              <td data-label={t("lib.modes")} className="num">{number(one.modes, speech)}</td>
              <td data-label={t("lib.machines")} className="num">{number(one.machines, speech)}</td>
              <td data-label={t("lib.source")} className="soft">{code("libSource", one.source)}{one.version ? ` ${one.version}` : ""}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function OneClass({ assetClass }: { assetClass: string }) {
  const { t, say } = useSpeech();
  const found = useLibrary(assetClass);
  return (
    <Await query={found}>
      {(library) => (
        <>
          <Head title={say(library.name)} lead={t("lib.classLead")} back={t("lib.title")} backTo="#/assets/classes" />
          <div className="stack">{library.modes_shown.map((mode) => <ModePanel key={mode.code} mode={mode} all={library.modes_shown} />)}</div>
          {library.version !== null && <Versions assetClass={assetClass} />}
        </>
      )}
    </Await>
  );
}

/** What this site has put in the place of the shipped library, each as it was uploaded. */
function Versions({ assetClass }: { assetClass: string }) {
  const { t } = useSpeech();
  const found = useLibraryVersions(assetClass);
  return (
    <section className="panel stack tight" style={{ marginTop: 16 }} aria-label={t("lib.versions")}>
      <h2>{t("lib.versions")}</h2>
      <Await query={found}>
        {(items) => (
          <ul className="stack tight">
            {items.map((one) => (
              <li key={one.version}>
                <a href={libraryVersionFile(assetClass, one.version)}>{t("mp.version", { n: one.version })}</a> {one.made_by} <Age at={one.made_at} /> {one.note} {one.retired_at && <span className="chip">{t("mp.off")}</span>}
              </li>
            ))}
          </ul>
        )}
      </Await>
    </section>
  );
}

function ModePanel({ mode, all }: { mode: ModeDetail; all: ModeDetail[] }) {
  const speech = useSpeech();
  const { t, say, code, language } = speech;
  const causes = mode.caused_by.map((cause) => say(all.find((one) => one.code === cause)?.name) || cause);
  return (
    <section className="panel stack tight" id={mode.code}>
      <div className="row between">
        <h2>{say(mode.name)}</h2>
        <span className="row"><span className="chip">{mode.iso_mode}</span><span className="chip">{mode.mechanism} {say(mode.mechanism_name)}</span><span className="chip">{t("lib.cause", { code: `${mode.cause} ${say(mode.cause_name)}` })}</span></span>
      </div>
      {say(mode.effect) && <p>{say(mode.effect)}</p>}
      <p className="soft">
        {t("lib.lead_h", { days: number(mode.lead_h / 24, speech) })} · {code("skill", mode.skill)} ·{" "}
        {t("lib.cost", { planned: number(mode.cost_planned, speech), failure: number(mode.cost_failure, speech), currency: mode.currency })} ·{" "}
        {t("lib.judged", { n: mode.judged })}
      </p>
      {mode.signature.length > 0 && <ul className="stack tight">{mode.signature.map((sign, at) => <li key={at}><SignLine sign={sign} /></li>)}</ul>}
      {causes.length > 0 && <p>{t("lib.causedBy", { modes: causes.join(", ") })}</p>}
      <Listed title={t("lib.checks")} lines={mode.checks[language]} />
      <Listed title={t("lib.parts")} lines={mode.parts[language]} />
      <Listed title={t("lib.lockout")} lines={mode.lockout[language]} />
      {say(mode.article) && <p><a href={`#/search?q=${encodeURIComponent(say(mode.article))}`}>{t("lib.article", { title: say(mode.article) })}</a></p>}
    </section>
  );
}

function SignLine({ sign }: { sign: Sign }) {
  const speech = useSpeech();
  const { t, code, language } = speech;
  const name = (language === "zh" ? sign.words.find((word) => /[\u4e00-\u9fff]/.test(word)) : undefined) ?? sign.words[0] ?? code("quantity", sign.quantity);
  const way = sign.direction > 0 ? t("lib.rises") : sign.direction < 0 ? t("lib.falls") : t("lib.moves");
  const alert = sign.alert === null ? "" : ` · ${t("lib.alert", { value: number(sign.alert, speech), unit: sign.unit })}`;
  return <><strong>{name}</strong> <span className="soft">({code("quantity", sign.quantity)})</span> {way}, {t("lib.weight", { value: number(sign.weight, speech) })}{alert}</>;
}

function Listed({ title, lines }: { title: string; lines: string[] }) {
  if (lines.length === 0) return null;
  return <details><summary>{title}</summary><ul>{lines.map((line) => <li key={line}>{line}</li>)}</ul></details>;
}

function Upload() {
  const { t, say } = useSpeech();
  const job = useJob();
  const [text, setText] = useState("");
  const [note, setNote] = useState("");
  const [seen, setSeen] = useState<LibraryPreview | null>(null);
  const change = (next: string) => {
    setText(next);
    setSeen(null);
  };
  const check = () => job.run(async () => setSeen(await call<LibraryPreview>("/libraries/check", { method: "POST", body: { text } })));
  const take = () => job.run(async () => {
    await call("/libraries", { method: "POST", body: { text, note } });
    await queryClient.invalidateQueries({ queryKey: ["library"] });
    change("");
  });
  return (
    <section className="panel stack" style={{ marginTop: 16 }}>
      <h2>{t("lib.upload")}</h2>
      <Textarea label={t("lib.text")} description={t("lib.textHint")} value={text} onChange={(event) => change(event.currentTarget.value)} autosize minRows={4} maxRows={16} styles={{ input: { fontFamily: "monospace" } }} />
      <TextInput label={t("lib.note")} value={note} maxLength={300} onChange={(event) => setNote(event.currentTarget.value)} />
      <div className="row">
        <Button variant={seen ? "default" : "filled"} disabled={!text.trim()} loading={job.busy} onClick={() => void check()}>{t("lib.check")}</Button>
        <Button disabled={!seen} loading={job.busy} onClick={() => void take()}>{t("lib.take")}</Button>
      </div>
      <Refused problem={job.problem} />
      {seen && (
        <div aria-live="polite">
          <p>{t("lib.seen", { name: say(seen.name), machines: seen.machines })}</p>
          <ul>{seen.modes.map((one) => <li key={one.code}><code>{one.code}</code> {t(`lib.${one.change}` as "lib.added")}</li>)}</ul>
        </div>
      )}
    </section>
  );
}
