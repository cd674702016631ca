// Who may come in, and how: sign-in providers, the second factor, agents and tokens, links, and the record. The administrator's.
import { useState, type FormEvent } from "react";
import { Button, MultiSelect, NativeSelect, TextInput } from "@mantine/core";
import { call } from "../api/client";
import { refreshSecurity, useAccounts, useAgents, useRecord, useRights, useSignInPolicy, useSiteTokens, type Account, type Agent, type SignInPolicy, type SiteToken } from "../api/security";
import { useSpeech } from "../i18n";
import { Boxes, Head, Refused, Scroll, useJob } from "../parts/setting";
import { Await } from "../parts/states";
import { toast } from "../parts/toasts";
import { Providers } from "./access_providers";
import { Record, Used } from "./access_record";
import { scopeChoices, scopesText } from "./security_tokens";

const ROLES = ["requester", "engineer", "planner", "manager", "admin"];
const FOR_AGENTS = ["agent", "requester", "engineer", "planner", "manager"];
const DAYS = ["30", "90", "365"];

export default function AccessPage() {
  const { t } = useSpeech();
  const policy = useSignInPolicy();
  const accounts = useAccounts();
  const agents = useAgents();
  const tokens = useSiteTokens();
  const record = useRecord();
  return (
    <>
      <Head title={t("setting.access")} lead={t("setting.accessLead")} back={t("setting.title")} backTo="#/settings" />
      <div className="stack">
        <Await query={policy}>{(found) => <SecondFactor key={found.version} policy={found} />}</Await>
        <Providers />
        <Await query={accounts}>{(items) => <People items={items.filter((one) => one.kind === "person")} />}</Await>
        <Await query={agents}>{(items) => <Agents items={items} />}</Await>
        <Await query={tokens}>{(items) => <Tokens items={items} agents={agents.data ?? []} />}</Await>
        <section className="panel stack" aria-label={t("deeds.title")}>
          <h2>{t("deeds.title")}</h2>
          <Await query={record}>{(items) => <Record items={items} />}</Await>
        </section>
      </div>
    </>
  );
}

function SecondFactor({ policy }: { policy: SignInPolicy }) {
  const { t, code } = useSpeech();
  const [roles, setRoles] = useState(policy.second_roles);
  const job = useJob();
  const save = () => job.run(async () => {
    try {
      await call("/sign-in-policy", { method: "PUT", version: policy.version, body: { second_roles: roles } });
      toast(t("access.saved"));
    } finally {
      await refreshSecurity();
    }
  });
  return (
    <section className="panel stack" aria-label={t("access.second")}>
      <h2>{t("access.second")}</h2>
      <Boxes label={t("access.secondRoles")} hint={t("access.secondHint")} all={ROLES} chosen={roles} change={setRoles} words={(one) => code("me", one)} />
      <Refused problem={job.problem} />
      <div><Button loading={job.busy} onClick={() => void save()}>{t("app.save")}</Button></div>
    </section>
  );
}

function People({ items }: { items: Account[] }) {
  const { t, code } = useSpeech();
  const [link, setLink] = useState<{ login: string; address: string } | null>(null);
  const job = useJob();
  const invite = (one: Account) => job.run(async () => {
    const made = await call<{ path: string }>(`/users/${one.user_id}/invite`, { method: "POST" });
    setLink({ login: one.login, address: new URL(made.path, location.origin).href });
    await refreshSecurity();
  });
  const lost = (one: Account) => job.run(async () => {
    await call(`/users/${one.user_id}/second-factors`, { method: "DELETE" });
    toast(t("access.taken", { login: one.login }));
    await refreshSecurity();
  });
  return (
    <section className="panel stack" aria-label={t("access.people")}>
      <h2>{t("access.people")}</h2>
      <p className="soft">{t("access.peopleLead")}</p>
      {link && <TextInput readOnly label={t("access.link", { login: link.login })} value={link.address} onFocus={(event) => event.currentTarget.select()} />}
      <Refused problem={job.problem} />
      <Scroll label={t("access.people")}>
        <table className="list cards middle">
          <thead><tr><th scope="col">{t("signin.login")}</th><th scope="col">{t("access.role")}</th><th scope="col">{t("access.factors")}</th><th scope="col">{t("access.do")}</th></tr></thead>
          <tbody>
            {items.map((one) => (
              <tr key={one.user_id}>
                <th scope="row">{one.name} <span className="soft">{one.login}</span></th>
                <td data-label={t("access.role")}>{code("me", one.role)} {one.disabled && <span className="chip">{t("access.shut")}</span>}</td>
                <td data-label={t("access.factors")}>{[one.codes_on && t("codes.title"), one.passkeys > 0 && t("access.passkeys", { n: one.passkeys })].filter(Boolean).join(", ") || t("app.none")}</td>
                <td data-label={t("access.do")}>
                  <span className="row">
                    <Button size="xs" variant="default" disabled={job.busy} aria-label={`${t("access.invite")} ${one.login}`} onClick={() => void invite(one)}>{t("access.invite")}</Button>
                    {(one.codes_on || one.passkeys > 0) && <Button size="xs" variant="default" disabled={job.busy} aria-label={`${t("access.lost")} ${one.login}`} onClick={() => void lost(one)}>{t("access.lost")}</Button>}
                  </span>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </section>
  );
}

function Agents({ items }: { items: Agent[] }) {
  const { t, code } = useSpeech();
  const [login, setLogin] = useState("");
  const [name, setName] = useState("");
  const [role, setRole] = useState("agent");
  const job = useJob();
  const add = (event: FormEvent) => {
    event.preventDefault();
    void job.run(async () => {
      await call("/agents", { method: "POST", body: { login: login.trim(), name: name.trim(), role } });
      setLogin("");
      setName("");
      await refreshSecurity();
    });
  };
  const shut = (one: Agent) => job.run(async () => {
    await call(`/agents/${one.user_id}`, { method: "PATCH", body: { disabled: !one.disabled } });
    await refreshSecurity();
  });
  return (
    <section className="panel stack" aria-label={t("agents.title")}>
      <h2>{t("agents.title")}</h2>
      <p className="soft">{t("agents.lead")}</p>
      <ul className="stack tight">
        {items.map((one) => (
          <li key={one.user_id} className="row between">
            <span><strong>{one.name}</strong> <code>{one.login}</code> <span className="chip">{code("me", "agent")}</span>{one.disabled && <span className="chip">{t("access.shut")}</span>}<br />
              <span className="soft small">{code("me", one.role)} · {t("agents.owner", { who: one.owner ?? "–" })} · {t("agents.tokens", { n: one.tokens })} · <Used at={one.used_at} /></span></span>
            <Button size="xs" variant="default" disabled={job.busy} aria-label={`${t(one.disabled ? "agents.open" : "agents.shut")} ${one.login}`} onClick={() => void shut(one)}>{t(one.disabled ? "agents.open" : "agents.shut")}</Button>
          </li>
        ))}
      </ul>
      {items.length === 0 && <p className="soft">{t("agents.none")}</p>}
      <form className="row" style={{ alignItems: "flex-end" }} onSubmit={add}>
        <TextInput label={t("signin.login")} maxLength={64} value={login} onChange={(event) => setLogin(event.currentTarget.value)} />
        <TextInput label={t("access.name")} maxLength={300} value={name} onChange={(event) => setName(event.currentTarget.value)} />
        <NativeSelect label={t("access.role")} value={role} data={FOR_AGENTS.map((value) => ({ value, label: code("me", value) }))} onChange={(event) => setRole(event.currentTarget.value)} />
        <Button type="submit" variant="default" loading={job.busy} disabled={!login.trim() || !name.trim()}>{t("agents.add")}</Button>
      </form>
      <Refused problem={job.problem} />
    </section>
  );
}

function Tokens({ items, agents }: { items: SiteToken[]; agents: Agent[] }) {
  const { t, code } = useSpeech();
  const rights = useRights();
  const living = agents.filter((one) => !one.disabled);
  const [chosen, setChosen] = useState("");
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState<string[]>(["*.read"]);
  const [days, setDays] = useState("90");
  const [made, setMade] = useState("");
  const job = useJob();
  const login = chosen || living[0]?.login || "";
  const make = (event: FormEvent) => {
    event.preventDefault();
    void job.run(async () => {
      const body = { login, name: name.trim(), scopes, expires_in_days: Number(days) };
      setMade((await call<{ token: string }>("/tokens", { method: "POST", body })).token);
      setName("");
      await refreshSecurity();
    });
  };
  const revoke = (one: SiteToken) => job.run(async () => {
    await call(`/tokens/${one.token_id}`, { method: "DELETE" });
    await refreshSecurity();
  });
  return (
    <section className="panel stack" aria-label={t("token.site")}>
      <h2>{t("token.site")}</h2>
      <ul className="stack tight">
        {items.map((one) => (
          <li key={one.token_id} className="row between">
            <span><strong>{one.name}</strong> · {one.login} {one.kind === "agent" && <span className="chip">{code("me", "agent")}</span>}<br />
              <span className="soft small"><code style={{ overflowWrap: "anywhere" }}>{scopesText(one.scopes, t("token.all"))}</code> · <Used at={one.used_at} /></span></span>
            <Button size="xs" variant="default" disabled={job.busy} aria-label={`${t("token.void")} ${one.name} ${one.login}`} onClick={() => void revoke(one)}>{t("token.void")}</Button>
          </li>
        ))}
      </ul>
      {items.length === 0 && <p className="soft">{t("token.none")}</p>}
      {living.length > 0 && (
        <form className="stack" onSubmit={make}>
          <div className="row" style={{ alignItems: "flex-end" }}>
            <NativeSelect label={t("token.for")} value={login} data={living.map((one) => one.login)} onChange={(event) => setChosen(event.currentTarget.value)} />
            <TextInput label={t("token.name")} maxLength={300} value={name} onChange={(event) => setName(event.currentTarget.value)} />
            <NativeSelect label={t("token.days")} value={days} data={DAYS.map((value) => ({ value, label: t("token.forDays", { n: value }) }))} onChange={(event) => setDays(event.currentTarget.value)} />
          </div>
          <MultiSelect label={t("token.scopes")} description={t("token.scopesHint")} searchable data={scopeChoices(rights.data ?? [])} value={scopes} onChange={setScopes} />
          <div><Button type="submit" variant="default" loading={job.busy} disabled={!name.trim() || scopes.length === 0}>{t("token.make")}</Button></div>
        </form>
      )}
      {made && <TextInput readOnly label={t("token.once")} value={made} onFocus={(event) => event.currentTarget.select()} />}
      <Refused problem={job.problem} />
    </section>
  );
}
