// The way from a machine to what else is said of it: meters, windows, policy, lock-outs, and a year's evidence.
import { useState } from "react";
import { Button, NumberInput } from "@mantine/core";
import { plantNow } from "../api/clock";
import { yearPackFile } from "../api/proof";
import { useMe } from "../api/queries";
import { useSpeech, type Key } from "../i18n";
import { localAt } from "../i18n/zone";

const PLANNERS = ["planner", "manager", "admin"];
const CREW = [...PLANNERS, "engineer"];
const WAYS: [Key, string, string[]][] = [
  ["asset.meters", "/plans/meters/asset", CREW],
  ["asset.windows", "/plans/windows", CREW],
  ["asset.lockOut", "/alarms/works", CREW],
  ["asset.policy", "/settings/policies/asset", PLANNERS],
];

export function MorePanel({ assetId }: { assetId: number }) {
  const { t, zone } = useSpeech();
  const role = useMe().data?.role ?? "";
  const [year, setYear] = useState(() => Number(localAt(plantNow(), zone).slice(0, 4)));
  return (
    <section className="panel stack tight" aria-label={t("asset.more")}>
      <h2>{t("asset.more")}</h2>
      <div className="row">{WAYS.filter(([, , roles]) => roles.includes(role)).map(([name, path]) => <Button key={name} component="a" size="xs" variant="default" href={`#${path}/${assetId}`}>{t(name)}</Button>)}</div>
      {CREW.includes(role) && (
        <div className="row" style={{ alignItems: "flex-end" }}>
          <NumberInput label={t("asset.packYear")} min={1970} max={9998} w={120} thousandSeparator="" value={year} onChange={(value) => setYear(Number(value))} />
          <Button component="a" variant="default" href={yearPackFile(assetId, year)} download>{t("asset.pack")}</Button>
        </div>
      )}
    </section>
  );
}
