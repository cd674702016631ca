// What every screen carries: notices, language, light or dark, the account, the live link and the plant clock.
import { useEffect, useId, useRef, useState, type ReactNode } from "react";
import { call, chosenSite, chooseSite } from "../api/client";
import { clockFactor, useNow } from "../api/clock";
import { useLink } from "../api/live";
import { queryClient, useClock, useNotices } from "../api/queries";
import type { Me, Notice } from "../api/types";
import { useSpeech } from "../i18n";
import { moment } from "../i18n/format";
import { Bell, Moon, Person, Sun } from "./icons";
import { Age, ToneMark } from "./marks";
import { useScheme, useToggleScheme } from "./theme";

export function LiveLink() {
  const { t } = useSpeech();
  const link = useLink();
  if (link === "lost") return <ToneMark tone="stale">{t("link.lost")}</ToneMark>;
  return <ToneMark tone="calm">{t(`link.${link}`)}</ToneMark>;
}

export function PlantClock() {
  const speech = useSpeech();
  const now = useNow();
  useClock();
  const factor = clockFactor();
  return (
    <span className="soft small nowrap clock-text">
      {speech.t("clock.plant")} {moment(now, now, speech)}
      {factor !== 1 && (
        <span className="chip" style={{ marginLeft: 6 }} title={speech.t("clock.factorLabel", { factor })}>
          {speech.t("clock.factor", { factor })}
        </span>
      )}
    </span>
  );
}

export function LanguageSwitch({ me }: { me?: Me }) {
  const { t, language, setLanguage } = useSpeech();
  const change = () => {
    const next = language === "zh" ? "en" : "zh";
    setLanguage(next);
    // The choice already holds on this device; the account's copy may follow later.
    if (me) void call("/me", { method: "PATCH", body: { locale: next } }).catch(() => undefined);
  };
  return (
    <button className="icon-button" aria-label={t("top.languageLabel")} title={t("top.languageLabel")} onClick={change}>
      <span lang={language === "zh" ? "en" : "zh-CN"}>{t("top.language")}</span>
    </button>
  );
}

export function SchemeSwitch() {
  const { t } = useSpeech();
  const dark = useScheme() === "dark";
  const label = t(dark ? "top.light" : "top.dark");
  return (
    <button className="icon-button" aria-label={label} title={label} onClick={useToggleScheme()}>
      {dark ? <Sun /> : <Moon />}
    </button>
  );
}

export function Notices({ ticketPath }: { ticketPath: string }) {
  const { t } = useSpeech();
  const notices = useNotices();
  const items = notices.data?.items ?? [];
  const count = `${items.length}${notices.data?.next ? "+" : ""}`;
  return (
    <Drop label={`${t("top.notices")} (${count})`} icon={<><Bell />{items.length > 0 && <span className="badge">{count}</span>}</>}>
      {items.length === 0 ? <p className="soft">{t("top.noNotices")}</p> : (
        <ul>{items.map((one) => <NoticeRow key={one.notification_id} notice={one} ticketPath={ticketPath} />)}</ul>
      )}
    </Drop>
  );
}

function NoticeRow({ notice, ticketPath }: { notice: Notice; ticketPath: string }) {
  const { t, say } = useSpeech();
  const title = say(notice.title);
  return (
    <li>
      {notice.kind === "replan" ? <a className="strong" href="#/dispatch">{title}</a> : notice.ticket_id ? <a className="strong" href={`#${ticketPath}/${notice.ticket_id}`}>{title}</a> : <strong>{title}</strong>}
      {notice.body && <p>{say(notice.body)}</p>}
      <div className="row between small soft">
        <Age at={notice.at} />
        <button className="plain" onClick={() => void markRead(notice.notification_id)}>{t("top.markRead")}</button>
      </div>
    </li>
  );
}

export async function markRead(id: number): Promise<void> {
  await call(`/notifications/${id}/read`, { method: "POST", body: {} });
  await queryClient.invalidateQueries({ queryKey: ["notification"] });
}

export function Account({ me, signOut, children }: { me: Me; signOut: () => void; children?: ReactNode }) {
  const { t, code } = useSpeech();
  const sites = Object.keys(me.roles ?? {});
  const change = (site: string) => {
    chooseSite(site === sites[0] ? null : site);
    window.location.reload();
  };
  return (
    <Drop label={`${t("top.account")}: ${me.name}`} icon={<Person />}>
      <div className="stack">
        <div>
          <strong>{me.name}</strong>
          <div className="soft small">{me.login} · {code("me", me.role)} · {me.site.name}</div>
        </div>
        {sites.length > 1 && (
          <label className="stack tight">
            <span className="small soft">{t("top.site")}</span>
            <select value={chosenSite() ?? me.site.code} onChange={(event) => change(event.target.value)}>
              {sites.map((site) => <option key={site}>{site}</option>)}
            </select>
          </label>
        )}
        {children}
        <button className="plain" style={{ alignSelf: "flex-start", minHeight: 36 }} onClick={signOut}>{t("top.signOut")}</button>
      </div>
    </Drop>
  );
}

/** A button with a panel under it; Escape, a click elsewhere and following a link close it. */
export function Drop({ label, icon, children }: { label: string; icon: ReactNode; children: ReactNode }) {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const id = useId();
  useEffect(() => {
    if (!open) return;
    const away = (event: Event) => {
      const inside = event.target instanceof Node && box.current?.contains(event.target);
      if (!inside || event.type === "hashchange") setOpen(false);
    };
    const escape = (event: KeyboardEvent) => {
      if (event.key === "Escape") setOpen(false);
    };
    document.addEventListener("pointerdown", away);
    document.addEventListener("keydown", escape);
    window.addEventListener("hashchange", away);
    return () => {
      document.removeEventListener("pointerdown", away);
      document.removeEventListener("keydown", escape);
      window.removeEventListener("hashchange", away);
    };
  }, [open]);
  return (
    <div className="drop" ref={box}>
      <button className="icon-button" aria-label={label} title={label} aria-expanded={open} aria-controls={id} onClick={() => setOpen(!open)}>
        {icon}
      </button>
      {open && <div className="drop-body" id={id}>{children}</div>}
    </div>
  );
}
