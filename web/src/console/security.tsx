// Sign-in and security of one's own account. A change needs a proof of the last quarter hour that it is still you.
import { useState, type FormEvent, type ReactNode } from "react";
import { Button, TextInput } from "@mantine/core";
import { call } from "../api/client";
import { queryClient } from "../api/queries";
import { addPasskey, passkeysWork, refreshSecurity, useOwnRecord, usePasskeys, useSecurity, useSessions, type Enrolment, type Security, type Session } from "../api/security";
import type { Me } from "../api/types";
import { useSpeech } from "../i18n";
import { Age } from "../parts/marks";
import { Head, Refused, useJob } from "../parts/setting";
import { Await } from "../parts/states";
import { toast } from "../parts/toasts";
import { Record, Used } from "./access_record";
import { OwnTokens } from "./security_tokens";

export default function SecurityPage({ me }: { me: Me }) {
  const { t } = useSpeech();
  const security = useSecurity();
  return (
    <>
      <Head title={t("secure.title")} lead={t("secure.lead")} />
      {me.second_needed && <p className="problem" role="alert" style={{ marginBottom: 12 }}>{t("secure.needed")}</p>}
      <Await query={security}>
        {(own) => (
          <div className="stack">
            {own.confirm_needed && <Confirm own={own} />}
            <Codes own={own} me={me} />
            <Passkeys own={own} />
            <Password own={own} />
            <Sessions />
            <OwnTokens locked={own.confirm_needed} />
            <OwnRecord />
          </div>
        )}
      </Await>
    </>
  );
}

function Part({ title, lead, children }: { title: string; lead?: string; children: ReactNode }) {
  return <section className="panel stack" aria-label={title}><h2>{title}</h2>{lead && <p className="soft">{lead}</p>}{children}</section>;
}

function Confirm({ own }: { own: Security }) {
  const { t } = useSpeech();
  const [given, setGiven] = useState("");
  const job = useJob();
  const code = !own.has_password;
  const send = (event: FormEvent) => {
    event.preventDefault();
    void job.run(async () => {
      await call("/me/confirm", { method: "POST", body: code ? { code: given } : { password: given } });
      setGiven("");
      await refreshSecurity();
    });
  };
  if (!own.has_password && !own.codes_on) return <Part title={t("confirm.title")} lead={t("confirm.again")}>{null}</Part>;
  return (
    <Part title={t("confirm.title")} lead={t("confirm.lead")}>
      <form className="row" style={{ alignItems: "flex-end" }} onSubmit={send}>
        <TextInput
          label={t(code ? "second.code" : "secure.present")} type={code ? "text" : "password"} autoComplete={code ? "one-time-code" : "current-password"}
          value={given} onChange={(event) => setGiven(event.currentTarget.value)}
        />
        <Button type="submit" loading={job.busy} disabled={!given}>{t("confirm.do")}</Button>
      </form>
      <Refused problem={job.problem} />
    </Part>
  );
}

function Codes({ own, me }: { own: Security; me: Me }) {
  const { t } = useSpeech();
  const [made, setMade] = useState<Enrolment | null>(null);
  const [code, setCode] = useState("");
  const [recovery, setRecovery] = useState<string[]>([]);
  const job = useJob();
  const begin = () => job.run(async () => setMade(await call<Enrolment>("/me/totp", { method: "POST" })));
  const confirm = () => job.run(async () => {
    const given = await call<{ codes: string[] }>("/me/totp/confirm", { method: "POST", body: { code: code.trim() } });
    setMade(null);
    setCode("");
    setRecovery(given.codes);
    await refreshSecurity();
    if (me.second_needed) await queryClient.invalidateQueries({ queryKey: ["me"] });
  });
  const anew = () => job.run(async () => {
    setRecovery((await call<{ codes: string[] }>("/me/recovery-codes", { method: "POST" })).codes);
    await refreshSecurity();
  });
  const off = () => job.run(async () => {
    await call("/me/totp", { method: "DELETE" });
    setRecovery([]);
    toast(t("codes.turnedOff"));
    await refreshSecurity();
  });
  return (
    <Part title={t("codes.title")} lead={t(own.codes_on ? "codes.on" : "codes.lead")}>
      {made && (
        <form className="row" style={{ alignItems: "flex-start", gap: 20 }} onSubmit={(event) => { event.preventDefault(); void confirm(); }}>
          <QrCode rows={made.qr} label={t("codes.qr")} />
          <div className="stack" style={{ minWidth: 220, flex: 1 }}>
            <p>{t("codes.scan")}</p>
            <p className="small soft">{t("codes.type")} <code style={{ overflowWrap: "anywhere" }}>{made.secret.replace(/(.{4})/g, "$1 ").trim()}</code></p>
            <TextInput label={t("second.code")} inputMode="numeric" autoComplete="one-time-code" maxLength={8} value={code} onChange={(event) => setCode(event.currentTarget.value)} />
            <div><Button type="submit" loading={job.busy} disabled={code.trim().length < 6}>{t("codes.confirm")}</Button></div>
          </div>
        </form>
      )}
      {recovery.length > 0 && <Recovery codes={recovery} />}
      {own.codes_on && <p>{t("codes.left", { n: own.recovery_left })}</p>}
      <Refused problem={job.problem} />
      <div className="row">
        {!own.codes_on && !made && <Button variant="default" loading={job.busy} disabled={own.confirm_needed} onClick={() => void begin()}>{t("codes.begin")}</Button>}
        {own.codes_on && <Button variant="default" loading={job.busy} disabled={own.confirm_needed} onClick={() => void anew()}>{t("codes.anew")}</Button>}
        {own.codes_on && <Button variant="default" loading={job.busy} disabled={own.confirm_needed} onClick={() => void off()}>{t("codes.off")}</Button>}
      </div>
    </Part>
  );
}

function Recovery({ codes }: { codes: string[] }) {
  const { t } = useSpeech();
  return (
    <div role="status">
      <p className="strong">{t("codes.recovery")}</p>
      <ul style={{ columns: "180px 2" }}>{codes.map((one) => <li key={one}><code className="nowrap">{one}</code></li>)}</ul>
    </div>
  );
}

/** Drawn here: the secret goes to nobody who draws pictures for others. */
function QrCode({ rows, label }: { rows: string[]; label: string }) {
  const side = rows.length + 8;
  const dark = rows.flatMap((row, y) => [...row].map((one, x) => (one === "1" ? `M${x + 4} ${y + 4}h1v1h-1z` : "")));
  return (
    <svg role="img" aria-label={label} viewBox={`0 0 ${side} ${side}`} width={208} height={208} shapeRendering="crispEdges">
      <rect width="100%" height="100%" fill="#fff" /><path d={dark.join("")} fill="#000" />
    </svg>
  );
}

function Passkeys({ own }: { own: Security }) {
  const { t } = useSpeech();
  const keys = usePasskeys();
  const [name, setName] = useState("");
  const job = useJob();
  const works = own.passkeys_here && passkeysWork();
  const add = (event: FormEvent) => {
    event.preventDefault();
    void job.run(async () => {
      if (await addPasskey(name.trim())) setName("");
      await refreshSecurity();
    });
  };
  const remove = (ident: string) => job.run(async () => {
    await call(`/me/passkeys/${ident}`, { method: "DELETE" });
    await refreshSecurity();
  });
  return (
    <Part title={t("passkey.title")} lead={t("passkey.lead")}>
      <ul className="stack tight">
        {keys.data?.map((one) => (
          <li key={one.passkey_id} className="row">
            <strong>{one.name}</strong>
            <span className="soft small">{t("passkey.made")} <Age at={one.made_at} time="wall" /> · <Used at={one.used_at} /></span>
            <Button size="xs" variant="default" disabled={job.busy || own.confirm_needed} aria-label={`${t("setting.remove")} ${one.name}`} onClick={() => void remove(one.passkey_id)}>{t("setting.remove")}</Button>
          </li>
        ))}
      </ul>
      {keys.data?.length === 0 && <p className="soft">{t("passkey.none")}</p>}
      {works ? (
        <form className="row" style={{ alignItems: "flex-end" }} onSubmit={add}>
          <TextInput label={t("passkey.name")} placeholder={t("passkey.nameHint")} maxLength={100} value={name} onChange={(event) => setName(event.currentTarget.value)} />
          <Button type="submit" variant="default" loading={job.busy} disabled={!name.trim() || own.confirm_needed}>{t("passkey.add")}</Button>
        </form>
      ) : <p className="soft small">{t("passkey.notHere")}</p>}
      <Refused problem={job.problem} />
    </Part>
  );
}

function Password({ own }: { own: Security }) {
  const { t } = useSpeech();
  const [current, setCurrent] = useState("");
  const [password, setPassword] = useState("");
  const job = useJob();
  const send = (event: FormEvent) => {
    event.preventDefault();
    void job.run(async () => {
      await call("/me/password", { method: "POST", body: own.has_password ? { current, password } : { password } });
      setCurrent("");
      setPassword("");
      toast(t("secure.passwordSet"));
      await refreshSecurity();
    });
  };
  return (
    <Part title={t("signin.password")} lead={t("secure.passwordHint")}>
      <form className="row" style={{ alignItems: "flex-end" }} onSubmit={send}>
        {own.has_password && <TextInput label={t("secure.present")} type="password" autoComplete="current-password" value={current} onChange={(event) => setCurrent(event.currentTarget.value)} />}
        <TextInput label={t("secure.newPassword")} type="password" autoComplete="new-password" maxLength={1024} value={password} onChange={(event) => setPassword(event.currentTarget.value)} />
        <Button type="submit" variant="default" loading={job.busy} disabled={password.length < 12 || (own.has_password && !current)}>{t("secure.change")}</Button>
      </form>
      <p className="soft small">{t("secure.passwordEnds")}</p>
      <Refused problem={job.problem} />
    </Part>
  );
}

function Sessions() {
  const { t, code } = useSpeech();
  const sessions = useSessions();
  const job = useJob();
  const end = (path: string) => job.run(async () => {
    await call(`/me/sessions${path}`, { method: "DELETE" });
    await refreshSecurity();
  });
  return (
    <Part title={t("sessions.title")} lead={t("sessions.lead")}>
      <Await query={sessions}>
        {(items) => (
          <>
            <ul className="stack tight">
              {items.map((one) => (
                <li key={one.session_id} className="row between">
                  <span><strong>{browserOf(one)}</strong> {one.current && <span className="chip">{t("sessions.this")}</span>}<br />
                    <span className="soft small">{one.address} · {code("method", one.method.replace("+", "_"))} · <Used at={one.used_at} /></span></span>
                  {!one.current && <Button size="xs" variant="default" disabled={job.busy} aria-label={`${t("sessions.end")} ${browserOf(one)}`} onClick={() => void end(`/${one.session_id}`)}>{t("sessions.end")}</Button>}
                </li>
              ))}
            </ul>
            {items.length > 1 && <div><Button variant="default" loading={job.busy} onClick={() => void end("")}>{t("sessions.endOthers")}</Button></div>}
          </>
        )}
      </Await>
      <Refused problem={job.problem} />
    </Part>
  );
}

/** "Firefox · Linux" of what a browser calls itself; the text itself when it is none of the usual. */
function browserOf({ client }: Session): string {
  const name = ["Edg", "Firefox", "Chrome", "Safari"].find((one) => client.includes(`${one}/`));
  const system = ["Android", "iPhone", "iPad", "Windows", "Mac OS X", "Linux"].find((one) => client.includes(one));
  return name ? [name === "Edg" ? "Edge" : name, system].filter(Boolean).join(" · ") : client || "–";
}

function OwnRecord() {
  const { t } = useSpeech();
  const record = useOwnRecord();
  return <Part title={t("deeds.own")} lead={t("deeds.ownLead")}><Await query={record}>{(items) => <Record items={items} />}</Await></Part>;
}
