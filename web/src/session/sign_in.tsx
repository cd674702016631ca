// The door: by password, or by a single-use link.
import { useEffect, useRef, useState, type FormEvent } from "react";
import { Button, TextInput } from "@mantine/core";
import { call, chooseSite, Problem } from "../api/client";
import { forgetKept } from "../api/keep";
import { queryClient } from "../api/queries";
import { useSpeech } from "../i18n";
import { LanguageSwitch, SchemeSwitch } from "../parts/chrome";
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

export function SignIn({ ended }: { ended: boolean }) {
  const { t } = useSpeech();
  const [login, setLogin] = useState("");
  const [password, setPassword] = useState("");
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      await call("/session", { method: "POST", body: { login: login.trim(), password } });
      await entered();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setProblem(error);
    } finally {
      setBusy(false);
    }
  };
  const wrong = problem && [400, 401, 403, 422].includes(problem.status);
  return (
    <Door>
      <form className="stack" onSubmit={(event) => void submit(event)}>
        <h1>{t("signin.title")}</h1>
        <p className="soft">{t(ended ? "signin.ended" : "signin.lead")}</p>
        <TextInput
          label={t("signin.login")} size="md" autoComplete="username" autoCapitalize="none" required withAsterisk={false}
          value={login} onChange={(event) => setLogin(event.currentTarget.value)}
        />
        <TextInput
          label={t("signin.password")} type="password" size="md" autoComplete="current-password" required withAsterisk={false}
          value={password} onChange={(event) => setPassword(event.currentTarget.value)}
        />
        {problem && <p className="problem" role="alert">{wrong ? t("signin.wrong") : problem.detail || problemText(problem, t)}</p>}
        <Button type="submit" size="md" loading={busy}>{t("signin.submit")}</Button>
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
