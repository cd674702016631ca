// Dashboards: kept lists of tiles, each a report of its own.
import { Button, NativeSelect } from "@mantine/core";
import { useState } from "react";
import { useKeeping, useReport, useSaved, type Tile } from "../api/lists";
import type { Me } from "../api/types";
import { useSpeech } from "../i18n";
import { Await } from "../parts/states";
import { toast } from "../parts/toasts";
import { Naming } from "./list_views";
import { Drawn } from "./report_parts";

type Body = { tiles: Tile[] };
const LAST_90 = { from: "today-90d", until: "now" };

export function Dashboards({ me }: { me: Me }) {
  const { t } = useSpeech();
  const kept = useSaved<Body>("dashboard");
  const { keep, forget, prefer } = useKeeping("dashboard");
  const [chosen, setChosen] = useState("");
  const [naming, setNaming] = useState(false);
  const found = kept.data?.find((each) => String(each.saved_id) === chosen) ?? (chosen === "" ? kept.data?.find((each) => each.is_default) : undefined);
  const standard = useStandard();
  const body = found?.body ?? standard;
  const tried = (work: Promise<unknown>) => work.catch(() => toast(t("state.failed")));
  return (
    <section aria-label={t("dashboard.title")}>
      <div className="row wrap">
        <NativeSelect
          aria-label={t("dashboard.title")} value={found ? String(found.saved_id) : "0"} onChange={(event) => setChosen(event.currentTarget.value)}
          data={[{ value: "0", label: t("dashboard.standard") }, ...(kept.data ?? []).map((each) => ({ value: String(each.saved_id), label: each.name }))]}
        />
        {found && <Button size="xs" variant="default" onClick={() => void tried(prefer(found.is_default ? null : found.saved_id))}>{t(found.is_default ? "find.notFirst" : "find.first")}</Button>}
        {found && (found.mine || me.role === "manager" || me.role === "admin") && <Button component="a" size="xs" variant="default" href={`#/reports/dashboards/${found.saved_id}`}>{t("board.edit")}</Button>}
        <Button component="a" size="xs" variant="default" href="#/reports/dashboards/new">{t("board.new")}</Button>
        {found?.mine && <Button size="xs" variant="default" onClick={() => void tried(forget(found.saved_id))}>{t("find.forget")}</Button>}
        <Button size="xs" variant="default" aria-expanded={naming} onClick={() => setNaming(!naming)}>{t("dashboard.keep")}</Button>
        {naming && <Naming keep={(name, shared) => tried(keep(name, shared ? "shared" : "private", body)).then(() => setNaming(false))} />}
      </div>
      <div className="dashboard">
        {body.tiles.map((tile, at) => <TileShown key={at} tile={tile} />)}
      </div>
    </section>
  );
}

export function TileShown({ tile }: { tile: Tile }) {
  const report = useReport(tile.report);
  return (
    <section className="panel" style={{ gridColumn: `span ${tile.width}` }} aria-label={tile.title}>
      <h3>{tile.title}</h3>
      <Await query={report}>{(found) => <Drawn report={found} chart={tile.chart} />}</Await>
    </section>
  );
}

/** What the product shows to somebody who has kept none. */
function useStandard(): Body {
  const { t } = useSpeech();
  return {
    tiles: [
      { title: t("dashboard.now"), chart: "number", width: 3, report: { measures: ["open", "overdue", "closed", "resolution_kept", "verified_share"], dimensions: [], period: LAST_90 } },
      { title: t("dashboard.weeks"), chart: "line", width: 1, report: { measures: ["opened"], dimensions: ["week"], period: LAST_90 } },
      { title: t("dashboard.kinds"), chart: "bar", width: 1, report: { measures: ["open"], dimensions: ["kind"], period: LAST_90 } },
      { title: t("dashboard.repair"), chart: "number", width: 1, report: { measures: ["mttr", "mtbf", "first_time_fix"], dimensions: [], period: LAST_90 } },
    ],
  };
}
