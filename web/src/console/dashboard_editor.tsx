// A dashboard composed of saved reports: added, named, drawn, ordered, sized, removed; seen as it is before it is kept.
import { useState } from "react";
import { Button, Checkbox, NativeSelect, TextInput } from "@mantine/core";
import { call } from "../api/client";
import { useSaved, type ReportBody, type Saved, type Tile } from "../api/lists";
import { queryClient } from "../api/queries";
import type { Me } from "../api/types";
import { useSpeech, type Key, type Speech } from "../i18n";
import { Head, isConflict, Overtaken, Refused, useJob, type Lines } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";
import { go } from "../router";
import { TileShown } from "./dashboard";

const CHARTS: Tile["chart"][] = ["bar", "line", "number", "table"];
const WIDTHS = ["1", "2", "3"];
type Board = Saved<{ tiles: Tile[] }>;
type Draft = { name: string; shared: boolean; tiles: Tile[] };

export default function DashboardEditor({ id, me }: { id: string; me: Me }) {
  const { t } = useSpeech();
  const kept = useSaved<{ tiles: Tile[] }>("dashboard");
  if (id === "new") return <Form board={null} />;
  return (
    <Await query={kept}>
      {(items) => {
        const found = items.find((one) => one.saved_id === Number(id));
        const may = found && (found.mine || me.role === "manager" || me.role === "admin");
        return may ? <Form key={found.saved_id} board={found} /> : <Empty title={t("app.notFound")} />;
      }}
    </Await>
  );
}

function draftOf(board: Board | null): Draft {
  return { name: board?.name ?? "", shared: board?.audience === "shared", tiles: board?.body.tiles ?? [] };
}

function linesOf(draft: Draft, { t }: Speech): Lines {
  const tiles = draft.tiles.map((one, at) => [`${at + 1}`, `${one.title} · ${t(`chart.${one.chart}` as Key)} · ${t(`board.width${one.width}` as Key)}`]);
  return { [t("find.name")]: draft.name, [t("find.shared")]: t(draft.shared ? "find.yes" : "find.no"), ...Object.fromEntries(tiles) };
}

function Form({ board }: { board: Board | null }) {
  const speech = useSpeech();
  const { t } = speech;
  const job = useJob();
  const [draft, setDraft] = useState<Draft>(() => draftOf(board));
  const [version, setVersion] = useState(board?.version ?? 0);
  const [theirs, setTheirs] = useState<Board | null>(null);
  const set = (some: Partial<Draft>) => setDraft({ ...draft, ...some });
  const again = () => queryClient.invalidateQueries({ queryKey: ["saved", "dashboard"] });
  const body = { name: draft.name.trim(), audience: draft.shared ? "shared" : "private", body: { tiles: draft.tiles } };
  const save = () => job.run(async () => {
    try {
      const made = board
        ? await call<Board>(`/saved/${board.saved_id}`, { method: "PATCH", version, body })
        : await call<Board>("/saved", { method: "POST", body: { kind: "dashboard", ...body } });
      setDraft(draftOf(made));
      setVersion(made.version);
      await again();
      toast(t("stock.saved", { what: made.name }));
      if (!board) go(`/reports/dashboards/${made.saved_id}`, "replace");
    } catch (error) {
      if (board && isConflict(error as never)) setTheirs((await call<Board[]>("/saved?kind=dashboard")).find((one) => one.saved_id === board.saved_id && one.version !== version) ?? null);
      throw error;
    }
  });
  const remove = () => job.run(async () => {
    await call(`/saved/${board?.saved_id}`, { method: "DELETE" });
    await again();
    go("/reports", "replace");
  });
  const settle = (next: Draft) => {
    setDraft(next);
    setVersion(theirs?.version ?? version);
    setTheirs(null);
    job.clear();
  };
  return (
    <>
      <Head title={board?.name ?? t("board.new")} lead={t("board.lead")} back={t("report.title")} backTo="#/reports" />
      <form className="panel stack" onSubmit={(event) => { event.preventDefault(); void save(); }}>
        <div className="row" style={{ alignItems: "flex-end" }}>
          <TextInput label={t("find.name")} withAsterisk maxLength={120} style={{ flex: "1 1 240px", maxWidth: 420 }} value={draft.name} onChange={(event) => set({ name: event.currentTarget.value })} />
          <Checkbox label={t("find.shared")} checked={draft.shared} onChange={(event) => set({ shared: event.currentTarget.checked })} />
        </div>
        <Tiles tiles={draft.tiles} change={(tiles) => set({ tiles })} />
        <Adding add={(tile) => set({ tiles: [...draft.tiles, tile] })} />
        {theirs
          ? <Overtaken by={theirs.owner} mine={linesOf(draft, speech)} theirs={linesOf(draftOf(theirs), speech)} take={() => settle(draftOf(theirs))} keep={() => settle(draft)} />
          : <Refused problem={job.problem} />}
        <div className="row">
          <Button type="submit" loading={job.busy} disabled={!draft.name.trim() || draft.tiles.length === 0 || draft.tiles.some((one) => !one.title.trim())}>{t("app.save")}</Button>
          {board && <Button variant="default" loading={job.busy} onClick={() => void remove()}>{t("board.remove")}</Button>}
        </div>
      </form>
      <h2 style={{ margin: "24px 0 12px" }}>{t("board.preview")}</h2>
      {draft.tiles.length === 0
        ? <div className="panel"><Empty title={t("board.empty")} /></div>
        : <div className="dashboard">{draft.tiles.map((tile, at) => <TileShown key={`${at} ${tile.title}`} tile={tile} />)}</div>}
    </>
  );
}

function Tiles({ tiles, change }: { tiles: Tile[]; change: (next: Tile[]) => void }) {
  const { t } = useSpeech();
  const put = (at: number, some: Partial<Tile>) => change(tiles.map((one, row) => (row === at ? { ...one, ...some } : one)));
  const move = (at: number, by: number) => {
    const next = [...tiles];
    const [moved] = next.splice(at, 1);
    if (moved) next.splice(at + by, 0, moved);
    change(next);
  };
  return (
    <>
      {tiles.map((one, at) => (
        <div key={at} className="row" role="group" aria-label={t("board.tile", { n: at + 1 })} style={{ alignItems: "flex-end" }}>
          <TextInput label={t("board.title")} maxLength={120} style={{ flex: "1 1 200px", maxWidth: 360 }} value={one.title} onChange={(event) => put(at, { title: event.currentTarget.value })} />
          <NativeSelect label={t("report.chart")} value={one.chart} data={CHARTS.map((value) => ({ value, label: t(`chart.${value}` as Key) }))} onChange={(event) => put(at, { chart: event.currentTarget.value as Tile["chart"] })} />
          <NativeSelect label={t("board.width")} value={String(one.width)} data={WIDTHS.map((value) => ({ value, label: t(`board.width${value}` as Key) }))} onChange={(event) => put(at, { width: Number(event.currentTarget.value) as Tile["width"] })} />
          <span className="row" style={{ flexWrap: "nowrap" }}>
            <Button variant="default" disabled={at === 0} aria-label={t("slas.earlier", { name: one.title })} onClick={() => move(at, -1)}>↑</Button>
            <Button variant="default" disabled={at === tiles.length - 1} aria-label={t("slas.later", { name: one.title })} onClick={() => move(at, 1)}>↓</Button>
            <Button variant="default" aria-label={`${t("setting.remove")} ${one.title}`} onClick={() => change(tiles.filter((_, row) => row !== at))}>×</Button>
          </span>
        </div>
      ))}
    </>
  );
}

function Adding({ add }: { add: (tile: Tile) => void }) {
  const { t } = useSpeech();
  const reports = useSaved<ReportBody>("report");
  const [chosen, setChosen] = useState("");
  const found = reports.data?.find((one) => String(one.saved_id) === chosen) ?? reports.data?.[0];
  if (reports.data?.length === 0) return <p className="soft">{t("board.noReports")} <a href="#/reports">{t("report.build")}</a></p>;
  return (
    <div className="row" style={{ alignItems: "flex-end" }}>
      <NativeSelect
        label={t("report.kept")} value={found ? String(found.saved_id) : ""} onChange={(event) => setChosen(event.currentTarget.value)}
        data={(reports.data ?? []).map((one) => ({ value: String(one.saved_id), label: one.name }))}
      />
      <Button variant="default" disabled={!found} onClick={() => { if (found) add({ title: found.name, chart: "bar", width: 1, report: found.body }); }}>{t("board.add")}</Button>
    </div>
  );
}
