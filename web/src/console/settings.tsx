// Settings: what a site decides for itself, each on a page of its own.
import { lazy } from "react";
import type { Me } from "../api/types";
import { useSpeech, type Key } from "../i18n";
import { Empty } from "../parts/states";

const Lifecycles = lazy(() => import("./lifecycles"));
const Sla = lazy(() => import("./sla"));
const Calendars = lazy(() => import("./calendars"));
const Fields = lazy(() => import("./fields"));
const Codes = lazy(() => import("./codes"));
const Checklists = lazy(() => import("./checklists"));
const Policies = lazy(() => import("./policies"));
const Access = lazy(() => import("./access"));

const PLACES = ["lifecycles", "sla", "calendars", "fields", "codes", "checklists", "policies"] as const;

export default function Settings({ path, me }: { path: string[]; me: Me }) {
  const { t } = useSpeech();
  const [place, id] = path;
  switch (place) {
    case undefined:
      return <Hub me={me} />;
    case "lifecycles":
      return <Lifecycles kind={id} me={me} />;
    case "sla":
      return <Sla id={id} me={me} />;
    case "calendars":
      return <Calendars id={id} me={me} />;
    case "fields":
      return <Fields me={me} />;
    case "codes":
      return <Codes me={me} />;
    case "checklists":
      return <Checklists id={id} />;
    case "policies":
      return <Policies path={path.slice(1)} me={me} />;
    case "access":
      return <Access />;
    default:
      return <Empty title={t("app.notFound")} />;
  }
}

function Hub({ me }: { me: Me }) {
  const { t } = useSpeech();
  return (
    <>
      <div className="page-head"><div><h1>{t("setting.title")}</h1><p>{t("setting.lead")}</p></div></div>
      <div className="tiles" style={{ gridTemplateColumns: "repeat(auto-fit, minmax(260px, 1fr))" }}>
        {[...PLACES, ...(me.role === "admin" ? (["access"] as const) : [])].map((name) => (
          <section key={name} className="panel stack tight">
            <h2><a className="tall-link" style={{ padding: 0 }} href={`#/settings/${name}`}>{t(`setting.${name}` as Key)}</a></h2>
            <p className="soft">{t(`setting.${name}Lead` as Key)}</p>
          </section>
        ))}
        <section className="panel stack tight">
          <h2><a className="tall-link" style={{ padding: 0 }} href="#/rules">{t("rules.title")}</a></h2>
          <p className="soft">{t("rules.lead")}</p>
        </section>
      </div>
    </>
  );
}
