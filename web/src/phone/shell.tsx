// The engineer's phone: my jobs, one job, and the form that closes it. One gloved thumb, 360 px and up.
import { lazy, Suspense, useEffect, useRef } from "react";
import { useLink, useLive } from "../api/live";
import { useTickets } from "../api/queries";
import type { Me } from "../api/types";
import { useSpeech } from "../i18n";
import { Account, LanguageSwitch, Notices, SchemeSwitch } from "../parts/chrome";
import { ArrowLeft } from "../parts/icons";
import { ToneMark } from "../parts/marks";
import { Bones, Guard } from "../parts/states";
import { Toasts } from "../parts/toasts";
import { useRoute } from "../router";
import "../styles/phone.css";
import { MyJobs } from "./my_jobs";
import { useJobNotices } from "./notices";

const Job = lazy(() => import("./job"));
const Finish = lazy(() => import("./finish"));

export const MINE = { assignee: "me", open: true } as const;

export default function Phone({ me, signOut }: { me: Me; signOut: () => void }) {
  const { t } = useSpeech();
  const { path } = useRoute();
  const [, id, step] = path;
  const link = useLink();
  const main = useRef<HTMLElement>(null);
  const jobs = useTickets(MINE);
  useLive();
  useJobNotices(jobs.data?.items);
  const place = path.join("/");
  useEffect(() => {
    main.current?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }, [place]);
  const back = step ? `#/my/${id}` : "#/my";
  return (
    <div className="phone">
      <header className="phone-top">
        {id ? (
          <a className="icon-button" href={back} aria-label={t("app.back")}><ArrowLeft /></a>
        ) : (
          <img src="./icon.svg" alt="" width={28} height={28} />
        )}
        <span className="title">{id ? t("nav.my") : `${t("my.title")} · ${me.name}`}</span>
        <Notices ticketPath="/my" />
        <LanguageSwitch me={me} />
        <Account me={me} signOut={signOut}>
          <div className="row"><SchemeSwitch /><a href="#/predictions">{t("nav.console")}</a></div>
          <a href="#/account">{t("secure.title")}</a>
        </Account>
      </header>
      {link === "lost" && <div className="phone-link"><ToneMark tone="stale">{t("link.lost")}</ToneMark></div>}
      <main ref={main} tabIndex={-1} className="phone-main">
        <Guard key={place} title={t("app.crashed")} button={t("app.reload")}>
          <Suspense fallback={<Bones rows={3} height={108} />}>
            {!id && <MyJobs jobs={jobs} />}
            {id && !step && <Job ticketId={Number(id)} me={me} />}
            {id && step === "finish" && <Finish ticketId={Number(id)} />}
          </Suspense>
        </Guard>
      </main>
      <Toasts />
    </div>
  );
}
