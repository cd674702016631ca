// Alarm hygiene: the figures of ISA-18.2 and EEMUA 191 with their targets; each opens the alarms behind it.
import { useState } from "react";
import { Button, NativeSelect } from "@mantine/core";
import { useBehind, useHygiene, type Figure } from "../api/alarms";
import { plantNow } from "../api/clock";
import { useSpeech, type Speech } from "../i18n";
import { number } from "../i18n/format";
import { ToneMark } from "../parts/marks";
import { Await, Empty } from "../parts/states";
import { Severity } from "./alarm_parts";
import { ROW } from "./list_keys";

const DAYS = ["1", "7", "30", "90"];
const DAY_MS = 86_400_000;

export default function HygienePage() {
  const { t } = useSpeech();
  const [days, setDays] = useState("7");
  const [now] = useState(() => plantNow());
  const [chosen, setChosen] = useState<string | null>(null);
  const start = new Date(now - Number(days) * DAY_MS).toISOString();
  const report = useHygiene(start);
  return (
    <div className="stack">
      <div className="row">
        <NativeSelect
          label={t("hygiene.span")} value={days} onChange={(event) => setDays(event.currentTarget.value)}
          data={DAYS.map((value) => ({ value, label: t("hygiene.days", { n: value }) }))}
        />
      </div>
      <Await query={report}>
        {(found) => (
          <>
            <p className="soft">{t("hygiene.people", { n: found.people })}</p>
            <Figures figures={found.figures} chosen={chosen} choose={setChosen} />
          </>
        )}
      </Await>
      {chosen && <BehindIt figure={chosen} start={start} />}
    </div>
  );
}

function Figures({ figures, chosen, choose }: { figures: Figure[]; chosen: string | null; choose: (name: string) => void }) {
  const speech = useSpeech();
  const { t, code } = speech;
  return (
    <div className="scroll">
      <table className="list middle cards">
        <thead>
          <tr>
            <th scope="col">{t("hygiene.figure")}</th>
            <th scope="col" className="num">{t("hygiene.value")}</th>
            <th scope="col" className="num">{t("hygiene.target")}</th>
            <th scope="col">{t("hygiene.met")}</th>
            <th scope="col"><span className="hidden">{t("order.actions")}</span></th>
          </tr>
        </thead>
        <tbody>
          {figures.map((one) => (
            <tr key={one.figure}>
              <th scope="row">{code("hygieneFigure", one.figure)}</th>
              <td className="num" data-label={t("hygiene.value")}><strong>{value(one, speech)}</strong></td>
              <td className="num" data-label={t("hygiene.target")}>{target(one, speech)}</td>
              <td data-label={t("hygiene.met")}><Met met={one.met} /></td>
              <td>
                <Button
                  size="xs" variant="default" aria-pressed={chosen === one.figure} onClick={() => choose(one.figure)}
                  aria-label={`${t("hygiene.show")}: ${code("hygieneFigure", one.figure)}`} {...{ [ROW]: "" }}
                >
                  {t("hygiene.show")}
                </Button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Met({ met }: { met: boolean | null }) {
  const { t } = useSpeech();
  if (met === null) return <span className="soft">{t("hygiene.noTarget")}</span>;
  return <ToneMark tone={met ? "calm" : "watch"}>{t(met ? "hygiene.yes" : "hygiene.no")}</ToneMark>;
}

function value(one: Figure, speech: Speech): string {
  return one.unit === "share" ? `${number(one.value * 100, speech)} %` : `${number(one.value, speech)} ${speech.t("hygiene.alarms")}`;
}

function target(one: Figure, speech: Speech): string {
  if (!one.target) return "–";
  const [sign = "", text = ""] = one.target.split(" ");
  const shown = one.unit === "share" ? `${number(Number(text) * 100, speech)} %` : `${number(Number(text), speech)} ${speech.t("hygiene.alarms")}`;
  return `${sign === "<=" ? "≤" : "≥"} ${shown}`;
}

function BehindIt({ figure, start }: { figure: string; start: string }) {
  const speech = useSpeech();
  const { t, code, say } = speech;
  const rows = useBehind(figure, start);
  return (
    <section className="stack" aria-label={code("hygieneFigure", figure)}>
      <h2>{code("hygieneFigure", figure)}</h2>
      <Await query={rows}>
        {(items) =>
          items.length === 0 ? (
            <div className="panel"><Empty title={t("hygiene.none")} /></div>
          ) : (
            <div className="scroll">
              <table className="list cards">
                <thead>
                  <tr>
                    <th scope="col">{t("alarms.machine")}</th>
                    <th scope="col">{t("alarms.what")}</th>
                    <th scope="col">{t("alarms.severity")}</th>
                    <th scope="col">{t("alarms.state")}</th>
                    <th scope="col" className="num">{t(figure === "stale" ? "hygiene.hours" : "hygiene.count")}</th>
                  </tr>
                </thead>
                <tbody>
                  {items.map((one) => (
                    <tr key={one.alarm_id}>
                      <th scope="row">
                        <a className="title" href={`#/assets/${one.asset_id}`}>{one.asset_code}</a>
                        <div className="soft small">{one.asset_name}</div>
                      </th>
                      <td data-label={t("alarms.what")}>{say(one.mode.name)}</td>
                      <td data-label={t("alarms.severity")}><Severity value={one.severity} quiet /></td>
                      <td data-label={t("alarms.state")}>{code("alarm", one.state)}</td>
                      <td className="num" data-label={t(figure === "stale" ? "hygiene.hours" : "hygiene.count")}>{number(one.count, speech)}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )
        }
      </Await>
    </section>
  );
}
