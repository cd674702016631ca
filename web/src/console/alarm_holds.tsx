// Alarms that a rule, a person or work on the machine holds: kept and listed, never dropped.
import { useHolds } from "../api/alarms";
import { useSpeech } from "../i18n";
import { Age } from "../parts/marks";
import { Await, Empty } from "../parts/states";
import { ROW } from "./list_keys";

export function Holds() {
  const { t, say, code } = useSpeech();
  const holds = useHolds();
  return (
    <Await query={holds}>
      {(items) =>
        items.length === 0 ? (
          <div className="panel"><Empty title={t("alarms.noHolds")} hint={t("alarms.noHoldsHint")} /></div>
        ) : (
          <div className="scroll">
            <table className="list cards">
              <thead>
                <tr>
                  <th scope="col">{t("alarms.machine")}</th>
                  <th scope="col">{t("alarms.heldBy")}</th>
                  <th scope="col">{t("alarms.why")}</th>
                  <th scope="col">{t("alarms.since")}</th>
                  <th scope="col">{t("alarms.ended")}</th>
                </tr>
              </thead>
              <tbody>
                {items.map((one) => (
                  <tr key={one.hold_id}>
                    <th scope="row">
                      <a className="title" href={`#/assets/${one.asset_id}`} {...{ [ROW]: "" }}>{one.asset_code}</a>
                      <div className="soft small">{one.asset_name}</div>
                    </th>
                    <td data-label={t("alarms.heldBy")}><span className="chip">{code("alarmHold", one.kind)}</span></td>
                    <td data-label={t("alarms.why")}>{say(one.why)}</td>
                    <td data-label={t("alarms.since")}><Age at={one.since} /></td>
                    <td data-label={t("alarms.ended")}>{one.until ? <Age at={one.until} /> : <span className="soft">{t("alarms.still")}</span>}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )
      }
    </Await>
  );
}
