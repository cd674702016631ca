// Many orders at once: what would change is shown before anything does, and can be taken back.
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { call, Problem } from "../api/client";
import type { BulkChanges, BulkRow, ListedTicket } from "../api/lists";
import { useEngineers, useFailureCodes } from "../api/queries";
import { useSpeech } from "../i18n";
import { problemText } from "../parts/states";
import { toast } from "../parts/toasts";
import { SKILLS } from "./people";

export function BulkBar({ chosen, clear }: { chosen: ListedTicket[]; clear: () => void }) {
  const { t, code, say } = useSpeech();
  const engineers = useEngineers();
  const modes = useFailureCodes(null);
  const client = useQueryClient();
  const [priority, setPriority] = useState("");
  const [skill, setSkill] = useState("");
  const [mode, setMode] = useState("");
  const [engineer, setEngineer] = useState("");
  const [tag, setTag] = useState("");
  const [rows, setRows] = useState<BulkRow[] | null>(null);
  const [last, setLast] = useState<number | null>(null);
  const changes: BulkChanges = {
    ...((priority || skill || mode) && { set: { ...(priority && { priority: Number(priority) }), ...(skill && { skill }), ...(mode && { mode }) } }),
    ...(engineer && { assign: Number(engineer) }), ...(tag.trim() && { add_tags: [tag.trim()] }),
  };
  const skills = [...new Set([...SKILLS, ...(engineers.data ?? []).flatMap((each) => Object.keys(each.skills))])];
  const named = [...new Map((modes.data ?? []).map((each) => [each.code, say(each.name)])).entries()].map(([value, label]) => ({ value, label }));
  const body = { tickets: chosen.map((each) => ({ ticket_id: each.ticket_id, version: each.version })), changes };
  const ready = rows?.some((row) => !row.refused);
  if (chosen.length === 0 && last === null) return null;
  return (
    <section className="panel bulk" aria-label={t("bulk.title")}>
      <div className="row wrap">
        {chosen.length > 0 && (
          <>
            <strong>{t("bulk.chosen", { n: chosen.length })}</strong>
            <NativeSelect
              aria-label={t("order.priority")} value={priority} onChange={(event) => edit(() => setPriority(event.currentTarget.value))}
              data={[{ value: "", label: t("bulk.samePriority") }, ...[1, 2, 3, 4, 5].map((value) => ({ value: String(value), label: code("priority", value) }))]}
            />
            <NativeSelect
              aria-label={t("order.skill")} value={skill} onChange={(event) => edit(() => setSkill(event.currentTarget.value))}
              data={[{ value: "", label: t("bulk.sameSkill") }, ...skills.map((value) => ({ value, label: code("skill", value) }))]}
            />
            <NativeSelect
              aria-label={t("order.mode")} value={mode} onChange={(event) => edit(() => setMode(event.currentTarget.value))}
              data={[{ value: "", label: t("bulk.sameMode") }, ...named]}
            />
            <NativeSelect
              aria-label={t("order.assignTo")} value={engineer} onChange={(event) => edit(() => setEngineer(event.currentTarget.value))}
              data={[{ value: "", label: t("bulk.sameEngineer") }, ...(engineers.data ?? []).map((each) => ({ value: String(each.engineer_id), label: each.name }))]}
            />
            <TextInput aria-label={t("bulk.tag")} placeholder={t("bulk.tag")} value={tag} maxLength={64} onChange={(event) => edit(() => setTag(event.currentTarget.value))} />
            <Button variant="default" disabled={Object.keys(changes).length === 0} onClick={() => void tried(preview)}>{t("bulk.preview")}</Button>
            <Button disabled={!ready} onClick={() => void tried(apply)}>{t("bulk.apply")}</Button>
            <Button variant="subtle" onClick={() => { clear(); setRows(null); }}>{t("bulk.clear")}</Button>
          </>
        )}
        {last !== null && <Button variant="default" onClick={() => void tried(undo)}>{t("bulk.undo")}</Button>}
      </div>
      {rows && <Rows rows={rows} />}
    </section>
  );

  function edit(change: () => void) {
    change();
    setRows(null);
  }

  async function preview() {
    setRows(await call<BulkRow[]>("/bulk/preview", { method: "POST", body }));
  }

  async function apply() {
    const done = await call<{ bulk_id: number; rows: BulkRow[] }>("/bulk", { method: "POST", body: { ...body, how: "each" } });
    setLast(done.bulk_id);
    await finished(done.rows, "bulk.done");
  }

  async function undo() {
    const taken = await call<BulkRow[]>(`/bulk/${last}/undo`, { method: "POST" });
    setLast(null);
    await finished(taken, "bulk.undone");
  }

  async function finished(result: BulkRow[], key: "bulk.done" | "bulk.undone") {
    toast(t(key, { n: result.filter((row) => !row.refused).length, all: result.length }));
    const refused = result.filter((row) => row.refused);
    setRows(refused.length ? refused : null);
    clear();
    await client.invalidateQueries({ queryKey: ["ticket"] });
  }

  async function tried(work: () => Promise<void>) {
    try {
      await work();
    } catch (error) {
      toast(error instanceof Problem && error.detail ? error.detail : problemText(error, t));
    }
  }
}

function Rows({ rows }: { rows: BulkRow[] }) {
  const { t } = useSpeech();
  return (
    <table className="list">
      <thead><tr><th scope="col">{t("order.ref")}</th><th scope="col">{t("bulk.what")}</th></tr></thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.ticket_id}>
            <td className="nowrap">{row.ref || row.ticket_id}</td>
            <td>{row.refused ? <strong>{t("bulk.refused", { why: row.refused })}</strong> : <Changed row={row} />}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Changed({ row }: { row: BulkRow }) {
  const { t, known } = useSpeech();
  const names = Object.keys(row.after);
  if (names.length === 0) return <span className="soft">{t("bulk.nothing")}</span>;
  return <>{names.map((name) => `${known("column", name) ?? name}: ${shown(row.before[name])} → ${shown(row.after[name])}`).join(" · ")}</>;
}

function shown(value: unknown): string {
  if (value === null || value === undefined || value === "") return "–";
  return Array.isArray(value) ? value.join(", ") || "–" : typeof value === "object" ? JSON.stringify(value) : String(value);
}
