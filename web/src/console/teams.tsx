// Teams: people who look after the same machines, or ask together. Managers make them; planners see them.
import { useState } from "react";
import { Button, MultiSelect, TextInput } from "@mantine/core";
import { call } from "../api/client";
import { refreshTeams, useFellows, useTeams, type Fellow, type Team } from "../api/people";
import { useAssets } from "../api/queries";
import type { AssetItem, Me } from "../api/types";
import { useSpeech, type Speech } from "../i18n";
import { useDraft } from "../parts/draft";
import { isUnseen, Overtaken, Refused, useJob, type Lines } from "../parts/setting";
import { Await, Empty } from "../parts/states";
import { toast } from "../parts/toasts";
import { ROW } from "./list_keys";

type Draft = Pick<Team, "user_ids" | "asset_ids">;
type Names = { people: Fellow[]; assets: AssetItem[] };

const membersText = (ids: number[], { people }: Names) => ids.map((id) => people.find((one) => one.user_id === id)?.name ?? `#${id}`).join(", ");
const machinesText = (ids: number[], { assets }: Names) => ids.map((id) => assets.find((one) => one.asset_id === id)?.code ?? `#${id}`).join(", ");

export function Teams({ me }: { me: Me }) {
  const { t } = useSpeech();
  const may = me.role !== "planner";
  const teams = useTeams(true);
  const names: Names = { people: useFellows(true).data ?? [], assets: useAssets().data ?? [] };
  const [chosen, setChosen] = useState<number | "new" | null>(null);
  const found = teams.data?.find((one) => one.team_id === chosen) ?? null;
  const shown = chosen === "new" || found !== null;
  return (
    <section className="stack" style={{ marginTop: 24 }} aria-label={t("teams.title")}>
      <div className="row between">
        <div><h2>{t("teams.title")}</h2><p className="soft">{t("teams.lead")}</p></div>
        {may && <Button variant="default" onClick={() => setChosen("new")}>{t("teams.new")}</Button>}
      </div>
      {shown && <TeamForm key={chosen} team={found} names={names} close={() => setChosen(null)} />}
      <Await query={teams}>
        {(items) => items.length === 0 ? <div className="panel"><Empty title={t("teams.none")} /></div> : (
          <div className="scroll">
            <table className="list cards middle">
              <thead><tr><th scope="col">{t("teams.team")}</th><th scope="col">{t("teams.members")}</th><th scope="col">{t("teams.machines")}</th>{may && <th scope="col">{t("setting.actions")}</th>}</tr></thead>
              <tbody>
                {items.map((one) => (
                  <tr key={one.team_id}>
                    <th scope="row"><strong>{one.name}</strong></th>
                    <td data-label={t("teams.members")}>{membersText(one.user_ids, names) || "–"}</td>
                    <td data-label={t("teams.machines")}>{machinesText(one.asset_ids, names) || "–"}</td>
                    {may && <td data-label={t("setting.actions")}><Button size="xs" variant="default" aria-label={`${t("setting.change")} ${one.name}`} onClick={() => setChosen(one.team_id)} {...{ [ROW]: "" }}>{t("setting.change")}</Button></td>}
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Await>
    </section>
  );
}

function linesOf(draft: Draft, names: Names, { t }: Speech): Lines {
  return { [t("teams.members")]: membersText(draft.user_ids, names), [t("teams.machines")]: machinesText(draft.asset_ids, names) };
}

function TeamForm({ team, names, close }: { team: Team | null; names: Names; close: () => void }) {
  const speech = useSpeech();
  const { t, code } = speech;
  const job = useJob();
  const [name, setName] = useState(team?.name ?? "");
  const [found, setFound] = useState<Team | null>(null); // a new team's name may be taken
  const { draft, set, version, theirs, take, keep } = useDraft<Team, Draft>(team ?? found, ({ user_ids, asset_ids }) => ({ user_ids, asset_ids }), () => ({ user_ids: [], asset_ids: [] }));
  const guarded = (work: () => Promise<void>) => job.run(async () => {
    try {
      await work();
    } catch (error) {
      if (isUnseen(error as never)) {
        setFound((await call<Team[]>("/teams")).find((one) => one.name === name.trim()) ?? null);
        await refreshTeams();
      }
      throw error;
    }
  });
  const save = () => guarded(async () => {
    await call("/teams", { method: "PUT", version, body: { name: name.trim(), ...draft } });
    await refreshTeams();
    toast(t("people.saved", { name: name.trim() }));
    close();
  });
  const drop = () => guarded(async () => {
    await call(`/teams/${team?.team_id}`, { method: "DELETE", version });
    await refreshTeams();
    close();
  });
  const settle = (way: () => void) => {
    way();
    job.clear();
  };
  const ids = (values: string[]) => values.map(Number).sort((one, other) => one - other);
  return (
    <form className="panel stack" onSubmit={(event) => { event.preventDefault(); void save(); }}>
      <h3>{team?.name ?? t("teams.new")}</h3>
      <TextInput label={t("teams.name")} withAsterisk maxLength={64} disabled={team !== null} value={name} style={{ maxWidth: 360 }} onChange={(event) => setName(event.currentTarget.value)} />
      <MultiSelect
        label={t("teams.members")} searchable value={draft.user_ids.map(String)} onChange={(values) => set({ ...draft, user_ids: ids(values) })}
        data={names.people.map((one) => ({ value: String(one.user_id), label: `${one.name} (${code("role", one.role)})` }))}
      />
      <MultiSelect
        label={t("teams.machines")} description={t("teams.machinesHint")} searchable limit={100} value={draft.asset_ids.map(String)} onChange={(values) => set({ ...draft, asset_ids: ids(values) })}
        data={names.assets.map((one) => ({ value: String(one.asset_id), label: `${one.code} ${one.name}` }))}
      />
      {theirs
        ? <Overtaken by={theirs.changed_by} mine={linesOf(draft, names, speech)} theirs={linesOf(theirs, names, speech)} take={() => settle(take)} keep={() => settle(keep)} />
        : <Refused problem={job.problem} />}
      <div className="row">
        <Button type="submit" loading={job.busy} disabled={!name.trim()}>{t("app.save")}</Button>
        {team && <Button variant="default" loading={job.busy} onClick={() => void drop()}>{t("teams.drop")}</Button>}
        <Button variant="default" onClick={close}>{t("app.cancel")}</Button>
      </div>
    </form>
  );
}
