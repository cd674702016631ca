// What was done to accounts, newest first; and when something was last used.
import type { Act } from "../api/security";
import { useSpeech } from "../i18n";
import { fullMoment } from "../i18n/format";
import { Age } from "../parts/marks";

export function Record({ items }: { items: Act[] }) {
  const speech = useSpeech();
  const { t, code } = speech;
  if (items.length === 0) return <p className="soft">{t("deeds.none")}</p>;
  return (
    <ul className="stack tight">
      {items.map((one) => (
        <li key={one.event_id} style={{ overflowWrap: "anywhere" }}>
          <strong>{code("deed", one.kind)}</strong>{one.login && <> · {one.login}</>}
          {one.detail && <span className="soft"> · {one.detail}</span>}<br />
          <span className="soft small">
            {fullMoment(one.at, speech)} · {one.actor}{one.actor_kind === "agent" && " "}{one.actor_kind === "agent" && <span className="chip">{code("me", "agent")}</span>}{one.address && ` · ${one.address}`}
          </span>
        </li>
      ))}
    </ul>
  );
}

export function Used({ at }: { at: string | null }) {
  const { t } = useSpeech();
  return at ? <>{t("secure.used")} <Age at={at} time="wall" /></> : <>{t("secure.unused")}</>;
}
