// Sign-in providers (OpenID Connect), and which of their claims give which role on this site.
import { useState, type FormEvent } from "react";
import { Button, Checkbox, NativeSelect, TextInput } from "@mantine/core";
import { call } from "../api/client";
import { refreshSecurity, useProviders, type Provider, type ProviderBody, type Rule } from "../api/security";
import { useSpeech } from "../i18n";
import { Refused, useJob } from "../parts/setting";
import { Await } from "../parts/states";
import { toast } from "../parts/toasts";

const ROLES = ["requester", "engineer", "planner", "manager", "admin"];
const FRESH: ProviderBody = { name: "", issuer: "", client_id: "", scopes: "openid profile email", login_claim: "preferred_username", matching: "none", second: "asked", enabled: true };

export function Providers() {
  const { t } = useSpeech();
  const providers = useProviders();
  const [adding, setAdding] = useState(false);
  return (
    <section className="panel stack" aria-label={t("oidc.title")}>
      <h2>{t("oidc.title")}</h2>
      <p className="soft">{t("oidc.lead")}</p>
      <Await query={providers}>
        {(items) => (
          <>
            {items.length === 0 && !adding && <p className="soft">{t("oidc.none")}</p>}
            {items.map((one) => <One key={`${one.code} ${one.version}`} provider={one} />)}
          </>
        )}
      </Await>
      {adding ? <Form close={() => setAdding(false)} /> : <div><Button variant="default" onClick={() => setAdding(true)}>{t("oidc.add")}</Button></div>}
    </section>
  );
}

function One({ provider }: { provider: Provider }) {
  const { t } = useSpeech();
  const [open, setOpen] = useState(false);
  const job = useJob();
  const test = () => job.run(async () => {
    const told = await call<{ keys: number }>(`/identity-providers/${provider.code}/test`, { method: "POST" });
    toast(t("oidc.works", { name: provider.name, n: told.keys }));
  });
  return (
    <section className="stack" style={{ borderTop: "1px solid var(--line)", paddingTop: 12 }} aria-label={provider.name}>
      <h3>{provider.name} <code className="soft">{provider.code}</code>{!provider.enabled && <span className="chip">{t("oidc.off")}</span>}</h3>
      <p className="soft small" style={{ overflowWrap: "anywhere" }}>{provider.issuer}<br />{t("oidc.callback")} <code>{provider.callback}</code></p>
      <Rules provider={provider} />
      <Refused problem={job.problem} />
      <div className="row">
        <Button size="xs" variant="default" loading={job.busy} aria-label={`${t("oidc.test")} ${provider.name}`} onClick={() => void test()}>{t("oidc.test")}</Button>
        {provider.ours ? <Button size="xs" variant="default" onClick={() => setOpen(!open)} aria-expanded={open}>{t("oidc.change")}</Button> : <span className="soft small">{t("oidc.others")}</span>}
      </div>
      {open && <Form provider={provider} close={() => setOpen(false)} />}
    </section>
  );
}

function Form({ provider, close }: { provider?: Provider; close: () => void }) {
  const { t } = useSpeech();
  const [code, setCode] = useState("");
  const [secret, setSecret] = useState("");
  const [draft, setDraft] = useState<ProviderBody>(provider ? bodyOf(provider) : FRESH);
  const job = useJob();
  const put = (some: Partial<ProviderBody>) => setDraft({ ...draft, ...some });
  const send = (event: FormEvent) => {
    event.preventDefault();
    void job.run(async () => {
      const terms = secret ? { ...draft, client_secret: secret } : draft;
      if (provider) await call(`/identity-providers/${provider.code}`, { method: "PUT", version: provider.version, body: terms });
      else await call("/identity-providers", { method: "POST", body: { ...terms, code: code.trim() } });
      close();
      await refreshSecurity();
    });
  };
  return (
    <form className="stack" onSubmit={send} aria-label={t("oidc.form")}>
      <div className="row" style={{ alignItems: "flex-end" }}>
        {!provider && <TextInput label={t("oidc.code")} placeholder="plant-login" maxLength={32} value={code} onChange={(event) => setCode(event.currentTarget.value)} />}
        <TextInput label={t("oidc.name")} maxLength={100} value={draft.name} onChange={(event) => put({ name: event.currentTarget.value })} />
      </div>
      <TextInput label={t("oidc.issuer")} description={t("oidc.issuerHint")} maxLength={500} value={draft.issuer} onChange={(event) => put({ issuer: event.currentTarget.value.trim() })} />
      <div className="row" style={{ alignItems: "flex-end" }}>
        <TextInput label={t("oidc.client")} maxLength={300} value={draft.client_id} onChange={(event) => put({ client_id: event.currentTarget.value.trim() })} />
        <TextInput label={t("oidc.secret")} type="password" autoComplete="off" placeholder={provider?.has_secret ? t("oidc.secretKept") : ""} value={secret} onChange={(event) => setSecret(event.currentTarget.value)} />
        <TextInput label={t("oidc.scopes")} value={draft.scopes} onChange={(event) => put({ scopes: event.currentTarget.value })} />
        <TextInput label={t("oidc.loginClaim")} value={draft.login_claim} onChange={(event) => put({ login_claim: event.currentTarget.value.trim() })} />
      </div>
      <Checkbox label={t("oidc.matching")} checked={draft.matching === "login"} onChange={(event) => put({ matching: event.currentTarget.checked ? "login" : "none" })} />
      <Checkbox label={t("oidc.trusted")} checked={draft.second === "trusted"} onChange={(event) => put({ second: event.currentTarget.checked ? "trusted" : "asked" })} />
      <Checkbox label={t("oidc.enabled")} checked={draft.enabled} onChange={(event) => put({ enabled: event.currentTarget.checked })} />
      <Refused problem={job.problem} />
      <div className="row">
        <Button type="submit" loading={job.busy} disabled={!draft.name.trim() || !draft.issuer || !draft.client_id || (!provider && !code.trim())}>{t("app.save")}</Button>
        <Button variant="default" onClick={close}>{t("app.cancel")}</Button>
      </div>
    </form>
  );
}

function bodyOf({ name, issuer, client_id, scopes, login_claim, matching, second, enabled }: Provider): ProviderBody {
  return { name, issuer, client_id, scopes, login_claim, matching, second, enabled };
}

function Rules({ provider }: { provider: Provider }) {
  const { t, code } = useSpeech();
  const [rules, setRules] = useState<Rule[]>(provider.rules);
  const job = useJob();
  const put = (at: number, some: Partial<Rule>) => setRules(rules.map((one, row) => (row === at ? { ...one, ...some } : one)));
  const save = () => job.run(async () => {
    await call(`/identity-providers/${provider.code}/rules`, { method: "PUT", body: { rules } });
    toast(t("access.saved"));
    await refreshSecurity();
  });
  return (
    <div className="stack" role="group" aria-label={t("oidc.rulesOf", { name: provider.name })}>
      <p className="soft small">{t("oidc.rulesLead")}</p>
      {rules.map((rule, at) => (
        <div className="row" key={at} style={{ alignItems: "flex-end" }}>
          <TextInput label={t("oidc.claim")} maxLength={200} value={rule.claim} onChange={(event) => put(at, { claim: event.currentTarget.value.trim() })} />
          <TextInput label={t("oidc.value")} maxLength={500} value={rule.value} onChange={(event) => put(at, { value: event.currentTarget.value })} />
          <NativeSelect label={t("access.role")} value={rule.role} data={ROLES.map((value) => ({ value, label: code("me", value) }))} onChange={(event) => put(at, { role: event.currentTarget.value })} />
          <Button variant="default" aria-label={`${t("setting.remove")} ${rule.claim} ${rule.value}`} onClick={() => setRules(rules.filter((_, row) => row !== at))}>{t("setting.remove")}</Button>
        </div>
      ))}
      <Refused problem={job.problem} />
      <div className="row">
        <Button size="xs" variant="default" onClick={() => setRules([...rules, { claim: "groups", value: "", role: "requester" }])}>{t("oidc.addRule")}</Button>
        <Button size="xs" loading={job.busy} disabled={rules.some((one) => !one.claim || !one.value)} onClick={() => void save()}>{t("oidc.saveRules")}</Button>
      </div>
    </div>
  );
}
