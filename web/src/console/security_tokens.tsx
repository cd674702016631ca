// One's own API tokens: what each is good for, until when, and when it was last used.
import { useState, type FormEvent } from "react";
import { Button, MultiSelect, NativeSelect, TextInput } from "@mantine/core";
import { call } from "../api/client";
import { refreshSecurity, useRights, useTokens } from "../api/security";
import { useSpeech } from "../i18n";
import { fullMoment } from "../i18n/format";
import { Refused, useJob } from "../parts/setting";
import { Await } from "../parts/states";
import { Used } from "./access_record";

const DAYS = ["7", "30", "90", "365"];

export function OwnTokens({ locked }: { locked: boolean }) {
  const speech = useSpeech();
  const { t } = speech;
  const tokens = useTokens();
  const job = useJob();
  const revoke = (ident: string) => job.run(async () => {
    await call(`/me/tokens/${ident}`, { method: "DELETE" });
    await refreshSecurity();
  });
  return (
    <section className="panel stack" aria-label={t("token.title")}>
      <h2>{t("token.title")}</h2>
      <p className="soft">{t("token.lead")}</p>
      <Await query={tokens}>
        {(items) => items.length === 0 ? <p className="soft">{t("token.none")}</p> : (
          <ul className="stack tight">
            {items.map((one) => (
              <li key={one.token_id} className="row between">
                <span><strong>{one.name}</strong> <code className="small" style={{ overflowWrap: "anywhere" }}>{scopesText(one.scopes, t("token.all"))}</code><br />
                  <span className="soft small">{one.expires_at ? t("token.until", { when: fullMoment(one.expires_at, speech) }) : t("token.forEver")} · <Used at={one.used_at} /></span></span>
                <Button size="xs" variant="default" disabled={job.busy} aria-label={`${t("token.void")} ${one.name}`} onClick={() => void revoke(one.token_id)}>{t("token.void")}</Button>
              </li>
            ))}
          </ul>
        )}
      </Await>
      <Refused problem={job.problem} />
      <NewToken locked={locked} />
    </section>
  );
}

export function scopesText(scopes: string[] | null, all: string): string {
  return scopes ? scopes.join(" ") : all;
}

/** Every right, and the groups that stand for several. */
export function scopeChoices(rights: string[]): string[] {
  const rooms = [...new Set(rights.map((one) => `${one.split(".")[0]}.*`))];
  return ["*", "*.read", ...rooms, ...rights];
}

function NewToken({ locked }: { locked: boolean }) {
  const { t } = useSpeech();
  const rights = useRights();
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState<string[]>(["*.read"]);
  const [days, setDays] = useState("30");
  const [made, setMade] = useState("");
  const job = useJob();
  const make = (event: FormEvent) => {
    event.preventDefault();
    void job.run(async () => {
      const body = { name: name.trim(), scopes, expires_in_days: Number(days) };
      setMade((await call<{ token: string }>("/me/tokens", { method: "POST", body })).token);
      setName("");
      await refreshSecurity();
    });
  };
  return (
    <form className="stack" onSubmit={make}>
      <div className="row" style={{ alignItems: "flex-end" }}>
        <TextInput label={t("token.name")} maxLength={300} value={name} onChange={(event) => setName(event.currentTarget.value)} />
        <NativeSelect label={t("token.days")} value={days} data={DAYS.map((value) => ({ value, label: t("token.forDays", { n: value }) }))} onChange={(event) => setDays(event.currentTarget.value)} />
      </div>
      <MultiSelect label={t("token.scopes")} description={t("token.scopesHint")} searchable data={scopeChoices(rights.data ?? [])} value={scopes} onChange={setScopes} />
      <div><Button type="submit" variant="default" loading={job.busy} disabled={!name.trim() || scopes.length === 0 || locked}>{t("token.make")}</Button></div>
      {made && <TextInput readOnly label={t("token.once")} value={made} onFocus={(event) => event.currentTarget.select()} />}
      <Refused problem={job.problem} />
    </form>
  );
}
