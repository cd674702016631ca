// The planner's console: the frame around its pages.
import { lazy, Suspense, useCallback, useEffect, useRef, useState, type FormEvent, type ReactNode } from "react";
import { useWaiting } from "../api/kinds";
import { useLive } from "../api/live";
import { usePredictions, useQuarantine } from "../api/queries";
import type { Me, Role } from "../api/types";
import { useSpeech, type Key } from "../i18n";
import { Account, LanguageSwitch, LiveLink, Notices, PlantClock, SchemeSwitch } from "../parts/chrome";
import { Bones, Empty, Guard } from "../parts/states";
import { Toasts } from "../parts/toasts";
import { go, useRoute, type Route } from "../router";
import "../styles/console.css";
import { useListKeys } from "./list_keys";

const Alarms = lazy(() => import("./alarms"));
const Predictions = lazy(() => import("./predictions"));
const PredictionPage = lazy(() => import("./prediction"));
const Review = lazy(() => import("./review"));
const Orders = lazy(() => import("./orders"));
const Order = lazy(() => import("./order"));
const NewTicket = lazy(() => import("./new_ticket"));
const Approvals = lazy(() => import("./approvals"));
const Assets = lazy(() => import("./assets"));
const AssetPage = lazy(() => import("./asset"));
const AssetImport = lazy(() => import("./asset_import"));
const Libraries = lazy(() => import("./libraries"));
const Verdicts = lazy(() => import("./verdicts"));
const Quarantine = lazy(() => import("./quarantine"));
const Detectors = lazy(() => import("./detectors"));
const AlarmRules = lazy(() => import("./alarm_rules"));
const Gate = lazy(() => import("./gate"));
const Week = lazy(() => import("./week"));
const Sources = lazy(() => import("./sources"));
const Rules = lazy(() => import("./rules"));
const Dispatch = lazy(() => import("./dispatch"));
const Plans = lazy(() => import("./plans"));
const People = lazy(() => import("./people"));
const Stock = lazy(() => import("./stock"));
const Reports = lazy(() => import("./reports"));
const Guides = lazy(() => import("./guides"));
const Found = lazy(() => import("./search"));
const Settings = lazy(() => import("./settings"));
const Security = lazy(() => import("./security"));
const System = lazy(() => import("./system"));

const PAGES = ["predictions", "review", "alarms", "orders", "approvals", "week", "reports", "dispatch", "plans", "people", "stock", "assets", "sources", "quarantine", "detectors", "guides", "rules", "settings", "system"] as const;
const PLANNERS: Role[] = ["planner", "manager", "admin"];
const CREW: Role[] = [...PLANNERS, "engineer", "agent"];
const READERS: Record<(typeof PAGES)[number], Role[]> = {
  predictions: CREW,
  review: CREW,
  alarms: CREW,
  orders: [...CREW, "requester"],
  approvals: [...PLANNERS, "engineer"],
  dispatch: CREW,
  plans: CREW,
  people: [...PLANNERS, "engineer"],
  stock: CREW,
  week: [...PLANNERS, "engineer"],
  reports: [...PLANNERS, "engineer"],
  assets: CREW,
  sources: PLANNERS,
  quarantine: PLANNERS,
  detectors: CREW,
  guides: CREW,
  rules: PLANNERS,
  settings: PLANNERS,
  system: PLANNERS,
};

export default function Console({ me, signOut }: { me: Me; signOut: () => void }) {
  const { t } = useSpeech();
  const route = useRoute();
  const [help, setHelp] = useState(false);
  const main = useRef<HTMLElement>(null);
  const home = me.role === "requester" ? "orders" : "predictions";
  const section = route.path[0] ?? home;
  useLive();
  useListKeys(useCallback(() => setHelp((shown) => !shown), []));
  useEffect(() => {
    main.current?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }, [route.path.join("/")]);
  return (
    <div className="shell">
      <a className="skip" href={`#${route.raw}`} onClick={() => main.current?.focus()}>{t("app.skip")}</a>
      <header className="top">
        <a className="brand" href="#/predictions" aria-label="Millwright"><img src="./icon.svg" alt="" /><span>Millwright</span></a>
        <Search />
        <span className="fill" />
        <LiveLink />
        <PlantClock />
        <Notices ticketPath="/orders" />
        <LanguageSwitch me={me} />
        <SchemeSwitch />
        <Account me={me} signOut={signOut}>
          <a href="#/account">{t("secure.title")}</a>
          {me.engineer_id !== null && <a href="#/my">{t("nav.my")}</a>}
        </Account>
      </header>
      <Side section={section} me={me} />
      <main className="main" ref={main} tabIndex={-1} id="main">
        <Guard key={route.path.join("/")} title={t("app.crashed")} button={t("app.reload")}>
          <Suspense fallback={<Bones />}>{page(section, route, me, t("app.notFound"))}</Suspense>
        </Guard>
      </main>
      {help && <div className="keys" role="status">{t("top.keys")}</div>}
      <Toasts />
    </div>
  );
}

function page(section: string, route: Route, me: Me, notFound: string): ReactNode {
  const id = route.path[1];
  const number = Number(id);
  if (me.second_needed) return <Security me={me} />; // nothing else is open until there is one
  switch (section) {
    case "predictions":
      return id ? <PredictionPage alarmId={number} /> : <Predictions />;
    case "alarms":
      return <Alarms path={route.path.slice(1)} me={me} />;
    case "orders":
      if (id === "new") return <NewTicket me={me} />;
      return id ? <Order ticketId={number} me={me} /> : <Orders search={route.search} me={me} />;
    case "assets":
      if (id === "import") return <AssetImport />;
      if (id === "classes") return <Libraries assetClass={route.path[2]} me={me} />;
      return id ? <AssetPage assetId={number} signalId={Number(route.search.get("signal")) || null} /> : <Assets me={me} />;
    case "review":
      return <Review me={me} />;
    case "approvals":
      return <Approvals />;
    case "week":
      return <Week search={route.search} />;
    case "reports":
      return <Reports path={route.path.slice(1)} me={me} />;
    case "search":
      return <Found text={route.search.get("q") ?? ""} />;
    case "quarantine":
      return <Quarantine />;
    case "sources":
      return <Sources />;
    case "detectors":
      if (id === "gate") return <Gate me={me} />;
      if (id === "rules") return <AlarmRules me={me} />;
      return id === "verdicts" ? <Verdicts me={me} /> : <Detectors me={me} />;
    case "dispatch":
      return <Dispatch me={me} />;
    case "plans":
      return <Plans path={route.path.slice(1)} me={me} />;
    case "people":
      return <People path={route.path.slice(1)} me={me} />;
    case "stock":
      return <Stock path={route.path.slice(1)} me={me} />;
    case "guides":
      return <Guides id={id} me={me} />;
    case "rules":
      return <Rules id={id} me={me} />;
    case "settings":
      return <Settings path={route.path.slice(1)} me={me} />;
    case "account":
      return <Security me={me} />;
    case "system":
      return <System />;
    default:
      return <Empty title={notFound} />;
  }
}

function Side({ section, me }: { section: string; me: Me }) {
  const { t } = useSpeech();
  const nav = useRef<HTMLElement>(null);
  useEffect(() => {
    nav.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  }, [section]);
  return (
    <nav className="side" ref={nav} aria-label={t("nav.label")}>
      {PAGES.filter((name) => READERS[name].includes(me.role)).map((name) => (
        <a key={name} href={`#/${name}`} aria-current={section === name ? "page" : undefined}>
          {t(`nav.${name}` as Key)}
          {name === "predictions" && <PredictionCount />}
          {name === "approvals" && <WaitingCount />}
          {name === "quarantine" && <QuarantineCount />}
        </a>
      ))}
      <a className="new" href="#/orders/new">{t("nav.new")}</a>
    </nav>
  );
}

function PredictionCount() {
  const predictions = usePredictions();
  return predictions.data?.items.length ? <span className="count">{predictions.data.items.length}</span> : null;
}

function WaitingCount() {
  const waiting = useWaiting();
  return waiting.data?.length ? <span className="count">{waiting.data.length}</span> : null;
}

function QuarantineCount() {
  const rows = useQuarantine();
  return rows.data?.length ? <span className="count">{rows.data.length}</span> : null;
}

function Search() {
  const { t } = useSpeech();
  const route = useRoute();
  const asked = route.search.get("q") ?? "";
  const [text, setText] = useState(asked);
  useEffect(() => setText(asked), [asked]);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    go(text.trim() ? `/search?q=${encodeURIComponent(text.trim())}` : "/orders");
  };
  return (
    <form role="search" className="search" onSubmit={submit}>
      <input
        id="search" className="search-input" type="search" aria-label={t("top.search")} placeholder={t("top.searchHint")}
        value={text} onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => event.key === "Escape" && event.currentTarget.blur()}
      />
    </form>
  );
}
