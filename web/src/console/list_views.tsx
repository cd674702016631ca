// Views of the list that people keep: choose one, keep this one, make it the first one seen, take it as a file.
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { useState, type FormEvent } from "react";
import { Problem } from "../api/client";
import { csvAddress, useKeeping, useSaved, type Asked, type ViewBody } from "../api/lists";
import type { Me } from "../api/types";
import { useSpeech } from "../i18n";
import { problemText } from "../parts/states";
import { toast } from "../parts/toasts";

export function Views({ asked, me, choose }: { asked: Asked; me: Me; choose: (body: ViewBody) => void }) {
  const { t, language } = useSpeech();
  const views = useSaved<ViewBody>("view");
  const { keep, forget, prefer } = useKeeping("view");
  const [chosen, setChosen] = useState("");
  const [naming, setNaming] = useState(false);
  const view = views.data?.find((each) => String(each.saved_id) === chosen);
  const tried = (work: Promise<unknown>) => work.catch((error: unknown) => toast(said(error)));
  return (
    <div className="row wrap">
      <NativeSelect
        aria-label={t("find.view")} value={chosen}
        onChange={(event) => {
          setChosen(event.currentTarget.value);
          const next = views.data?.find((each) => String(each.saved_id) === event.currentTarget.value);
          if (next) choose(next.body);
        }}
        data={[
          { value: "", label: t("find.noView") },
          ...(views.data ?? []).map((each) => ({
            value: String(each.saved_id), label: `${each.name}${each.is_default ? " ★" : ""}${each.mine ? "" : ` (${each.owner})`}`,
          })),
        ]}
      />
      {view && (
        <Button size="xs" variant="default" onClick={() => void tried(prefer(view.is_default ? null : view.saved_id))}>
          {t(view.is_default ? "find.notFirst" : "find.first")}
        </Button>
      )}
      {view?.mine && (
        <Button size="xs" variant="default" onClick={() => void tried(forget(view.saved_id)).then(() => setChosen(""))}>{t("find.forget")}</Button>
      )}
      <Button size="xs" variant="default" aria-expanded={naming} onClick={() => setNaming(!naming)}>{t("find.keep")}</Button>
      {naming && <Naming keep={(name, shared) => tried(save(name, shared)).then(() => setNaming(false))} />}
      {me.role !== "requester" && me.role !== "agent" && <a className="tall-link" href={csvAddress(asked, language)} download>CSV</a>}
    </div>
  );

  async function save(name: string, shared: boolean) {
    const body: ViewBody = { filter: asked.filter, sort: asked.sort ? asked.sort.split(",") : [], columns: asked.columns, text: asked.text };
    setChosen(String((await keep(name, shared ? "shared" : "private", body)).saved_id));
  }

  function said(error: unknown): string {
    return error instanceof Problem && error.detail ? error.detail : problemText(error, t);
  }
}

export function Naming({ keep }: { keep: (name: string, shared: boolean) => Promise<unknown> }) {
  const { t } = useSpeech();
  const [name, setName] = useState("");
  const [shared, setShared] = useState(false);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void keep(name.trim(), shared);
  };
  return (
    <form className="row" onSubmit={submit}>
      <TextInput aria-label={t("find.name")} placeholder={t("find.name")} maxLength={120} value={name} onChange={(event) => setName(event.currentTarget.value)} />
      <label className="row small"><input type="checkbox" checked={shared} onChange={(event) => setShared(event.currentTarget.checked)} /> {t("find.shared")}</label>
      <Button type="submit" size="xs" disabled={!name.trim()}>{t("find.keepIt")}</Button>
    </form>
  );
}
