// The door: by password and its second step, by passkey, by a sign-in provider, by a single-use link.
import { useEffect, useRef, useState, type FormEvent } from "react";
import { Button, TextInput } from "@mantine/core";
import { call, chooseSite, Problem } from "../api/client";
import { forgetKept } from "../api/keep";
import { queryClient } from "../api/queries";
import { enterByPasskey, passkeysWork, useDoors, type Entered } from "../api/security";
import { useSpeech, type Key } from "../i18n";
import { LanguageSwitch, SchemeSwitch } from "../parts/chrome";
import { useJob } from "../parts/setting";
import { Failed, problemText } from "../parts/states";
import { go } from "../router";
import "../styles/sign_in.css";

async function entered(): Promise<void> {
  await queryClient.resetQueries({ queryKey: ["me"] });
}

export async function signOut(): Promise<void> {
  try {
    await call("/session", { method: "DELETE" });
  } catch (error) {
    if (!(error instanceof Problem)) throw error; // an ended session is as good as an ended one
  }
  forgetKept(queryClient);
  chooseSite(null);
  go("/", "replace");
  window.location.reload();
}

export function SignIn({ ended, refused }: { ended: boolean; refused?: string }) {
  const { t } = useSpeech();
  const [login, setLogin] = useState("");
  const [password, setPassword] = useState("");
  const [pending, setPending] = useState("");
  const job = useJob();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void job.run(async () => {
      const answer = await call<Entered>("/session", { method: "POST", body: { login: login.trim(), password } });
      if (answer.second) setPending(answer.second.pending);
      else await arrive();
    });
  };
  if (pending) return <SecondStep pending={pending} again={() => { setPending(""); setPassword(""); }} />;
  const wrong = job.problem && [400, 401, 403, 422].includes(job.problem.status);
  return (
    <Door>
      <div className="stack">
        <h1>{t("signin.title")}</h1>
        <p className="soft">{t(ended ? "signin.ended" : "signin.lead")}</p>
        {refused && <Refusal code={refused} />}
        <form className="stack" onSubmit={submit}>
          <TextInput
            label={t("signin.login")} size="md" autoComplete="username webauthn" autoCapitalize="none" required withAsterisk={false}
            value={login} onChange={(event) => setLogin(event.currentTarget.value)}
          />
          <TextInput
            label={t("signin.password")} type="password" size="md" autoComplete="current-password" required withAsterisk={false}
            value={password} onChange={(event) => setPassword(event.currentTarget.value)}
          />
          {job.problem && <p className="problem" role="alert">{wrong ? t("signin.wrong") : job.problem.detail || problemText(job.problem, t)}</p>}
          <Button type="submit" size="md" loading={job.busy}>{t("signin.submit")}</Button>
        </form>
        <OtherWays />
      </div>
    </Door>
  );
}

async function arrive(): Promise<void> {
  if (window.location.hash.startsWith("#/door")) go("/", "replace");
  await entered();
}

function OtherWays() {
  const { t } = useSpeech();
  const doors = useDoors();
  const job = useJob();
  const byPasskey = () => job.run(async () => {
    if (await enterByPasskey()) await arrive();
  });
  return (
    <>
      {passkeysWork() && <Button variant="default" size="md" loading={job.busy} onClick={() => void byPasskey()}>{t("signin.passkey")}</Button>}
      {job.problem && <p className="problem" role="alert">{job.problem.status === 401 ? t("refused.passkey_refused") : problemText(job.problem, t)}</p>}
      {doors.data?.map((one) => (
        <Button key={one.code} component="a" variant="default" size="md" href={`/api/v1/session/oidc/${one.code}`}>{t("signin.with", { name: one.name })}</Button>
      ))}
    </>
  );
}

function Refusal({ code }: { code: string }) {
  const { t, known } = useSpeech();
  return <p className="problem" role="alert">{known("refused", code) ?? t("refused.provider_refused")}</p>;
}

/** The code of the app, or a recovery code. */
export function SecondStep({ pending, again }: { pending: string; again: () => void }) {
  const { t } = useSpeech();
  const [code, setCode] = useState("");
  const job = useJob();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void job.run(async () => {
      await call("/session/second", { method: "POST", body: { pending, code: code.trim() } });
      await arrive();
    });
  };
  const over = job.problem?.code === "step_ended";
  return (
    <Door>
      <form className="stack" onSubmit={submit}>
        <h1>{t("second.title")}</h1>
        <p className="soft">{t("second.lead")}</p>
        <TextInput
          label={t("second.code")} size="md" autoComplete="one-time-code" autoFocus required withAsterisk={false} maxLength={40}
          value={code} onChange={(event) => setCode(event.currentTarget.value)}
        />
        {job.problem && <p className="problem" role="alert">{over ? t("second.over") : job.problem.status === 401 ? t("second.wrong") : job.problem.detail || problemText(job.problem, t)}</p>}
        {!over && <Button type="submit" size="md" loading={job.busy}>{t("signin.submit")}</Button>}
        <Button variant="default" size="md" onClick={again}>{t("second.again")}</Button>
      </form>
    </Door>
  );
}

/** `#/door/second/SECRET` after a provider, `#/door/refused/CODE` when it said no. */
export function BackAtTheDoor({ kind, value }: { kind: string | undefined; value: string }) {
  if (kind === "second" && value) return <SecondStep pending={value} again={() => go("/", "replace")} />;
  return <SignIn ended={false} refused={value || "provider_refused"} />;
}

/** An administrator's link: a first password, or one in the place of a forgotten one. */
export function Invite({ token }: { token: string }) {
  const { t } = useSpeech();
  const [password, setPassword] = useState("");
  const [done, setDone] = useState(false);
  const job = useJob();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void job.run(async () => {
      await call("/session/password", { method: "POST", body: { token, password } });
      setDone(true);
    });
  };
  const problem = job.problem && (["invite_used", "weak_password"].includes(job.problem.code) ? t(`refused.${job.problem.code}` as Key) : problemText(job.problem, t));
  return (
    <Door>
      <form className="stack" onSubmit={submit}>
        <h1>{t("invite.title")}</h1>
        {done ? <p role="status">{t("invite.done")}</p> : (
          <>
            <p className="soft">{t("secure.passwordHint")}</p>
            <TextInput
              label={t("secure.newPassword")} type="password" size="md" autoComplete="new-password" required withAsterisk={false} minLength={12} maxLength={1024}
              value={password} onChange={(event) => setPassword(event.currentTarget.value)}
            />
            {problem && <p className="problem" role="alert">{problem}</p>}
            <Button type="submit" size="md" loading={job.busy} disabled={password.length < 12}>{t("invite.set")}</Button>
          </>
        )}
        <a href="#/" className="strong">{t("signin.toForm")}</a>
      </form>
    </Door>
  );
}

export function LinkSignIn({ token }: { token: string }) {
  const { t } = useSpeech();
  const [failed, setFailed] = useState<Problem | null>(null);
  const sent = useRef(false);
  useEffect(() => {
    if (sent.current) return; // a single-use token must be sent once
    sent.current = true;
    call("/session/link", { method: "POST", body: { token } })
      .then(async () => {
        forgetKept(queryClient); // the link may belong to somebody else than the last visitor
        go("/", "replace");
        await entered();
      })
      .catch((error: unknown) => {
        if (error instanceof Problem) setFailed(error);
        else throw error;
      });
  }, [token]);
  return (
    <Door>
      {!failed && <p role="status">{t("signin.link")}</p>}
      {failed?.retryable && <Failed error={failed} retry={() => window.location.reload()} />}
      {failed && !failed.retryable && (
        <div className="stack">
          <p role="alert">{t("signin.linkFailed")}</p>
          <a href="#/" className="strong">{t("signin.toForm")}</a>
        </div>
      )}
    </Door>
  );
}

function Door({ children }: { children: React.ReactNode }) {
  return (
    <div className="door">
      <header className="row between">
        <span className="row strong"><img src="./icon.svg" alt="" width={28} height={28} /> Millwright</span>
        <span className="row" style={{ gap: 0 }}><LanguageSwitch /><SchemeSwitch /></span>
      </header>
      <main className="panel">{children}</main>
    </div>
  );
}
