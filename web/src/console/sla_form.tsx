// One policy: what it promises to which tickets, who is told when, and what a change would do to open tickets.
import { useState } from "react";
import { Button, NativeSelect, NumberInput, TextInput } from "@mantine/core";
import { call } from "../api/client";
import { CLOCKS, KINDS, refreshSettings, type Calendar, type Mark, type Policy, type PolicyBody, type SlaClock, type SlaPreview } from "../api/settings";
import type { Me } from "../api/types";
import { useSpeech, type Speech } from "../i18n";
import { useDraft } from "../parts/draft";
import { Boxes, Difference, Head, isConflict, linesOf, listed, Overtaken, Refused, useJob } from "../parts/setting";
import { toast } from "../parts/toasts";
import { go } from "../router";
import { History, Reach, WouldMove } from "./sla_parts";

const HOUR_S = 3600;
const NEW: PolicyBody = {
  code: "", name: "", kind: "*", priority: null, calendar_id: null, response_s: 4 * HOUR_S, update_s: null, resolution_s: 24 * HOUR_S, conditions: {},
  marks: [{ clock: "*", fraction: 0.8, whom: ["assignee", "planners"], do: "notice" }, { clock: "*", offset_s: 0, whom: ["assignee", "planners"], do: "notice" }],
  pauses: null,
};

const TOLD: Mark = { clock: "*", whom: ["assignee", "planners"], do: "notice" };

function bodyOf(policy: Policy): PolicyBody {
  const { code, name, kind, priority, calendar_id, response_s, update_s, resolution_s, conditions, marks, pauses } = policy;
  const full = marks.map((one) => ({ ...TOLD, ...one })); // what a mark leaves out
  return { code, name, kind, priority, calendar_id, response_s, update_s, resolution_s, conditions, marks: full, pauses };
}

const linesOfPolicy = (body: PolicyBody, speech: Speech) => linesOf(body as unknown as Record<string, unknown>, speech);

export function PolicyForm({ policy, calendars, me }: { policy: Policy | null; calendars: Calendar[]; me: Me }) {
  const speech = useSpeech();
  const { t } = speech;
  const job = useJob();
  const { draft: body, set: setBody, base, version, theirs, take, keep, saved } = useDraft(policy, bodyOf, () => NEW);
  const [settled, setSettled] = useState(0);
  const [preview, setPreview] = useState<SlaPreview | null>(null);
  const [reach, setReach] = useState("new");
  const id = policy?.sla_policy_id;
  const may = me.role !== "planner";
  const set = (more: Partial<PolicyBody>) => {
    setBody({ ...body, ...more });
    setPreview(null);
  };
  const guarded = (work: () => Promise<void>) => job.run(async () => {
    try {
      await work();
    } catch (error) {
      if (id && isConflict(error as never)) await refreshSettings(); // what somebody else made of it is to be seen
      throw error;
    }
  });
  const look = () => job.run(async () => setPreview(await call<SlaPreview>("/sla/preview", { method: "POST", body: { policy_id: id ?? null, policy: body } })));
  const save = () => guarded(async () => {
    const asked = `?reach=${reach}`;
    const made = id
      ? await call<Policy>(`/sla/policies/${id}${asked}`, { method: "PUT", version, body })
      : await call<Policy>(`/sla/policies${asked}`, { method: "POST", body });
    saved(made);
    await refreshSettings();
    toast(t("slas.saved"));
    go(`/settings/sla/${made.sla_policy_id}`, "replace");
  });
  const retire = () => guarded(async () => {
    await call(`/sla/policies/${id}`, { method: "DELETE", version });
    go("/settings/sla");
    await refreshSettings();
  });
  const settle = (way: () => void) => {
    way();
    setSettled(settled + 1);
    setPreview(null);
    job.clear();
  };
  return (
    <>
      <Head title={policy ? policy.name : t("slas.new")} lead={t("slas.formLead")} back={t("setting.sla")} backTo="#/settings/sla" />
      <div className="stack">
        <fieldset key={`${base?.version} ${settled}`} disabled={!may} className="stack" style={{ border: 0, padding: 0, margin: 0, minWidth: 0 }}>
          <legend className="hidden">{t("slas.policy")}</legend>
          <Terms body={body} set={set} calendars={calendars} isNew={policy === null} />
          <ForWhom body={body} set={set} />
          <Marks body={body} set={set} />
          <Pauses body={body} set={set} />
        </fieldset>
        {theirs
          ? <Overtaken by={theirs.changed_by} mine={linesOfPolicy(body, speech)} theirs={linesOfPolicy(bodyOf(theirs), speech)} take={() => settle(take)} keep={() => settle(keep)} />
          : <Refused problem={job.problem} />}
        <div className="row"><Button variant={may ? "default" : "filled"} loading={job.busy} onClick={() => void look()}>{t("slas.preview")}</Button></div>
        {preview && <WouldMove preview={preview} />}
        {base && <section className="panel stack"><h2>{t("slas.changes")}</h2><Difference was={linesOfPolicy(bodyOf(base), speech)} is={linesOfPolicy(body, speech)} /></section>}
        {may && (
          <section className="panel stack">
            <Reach reach={reach} change={setReach} />
            <div className="row">
              <Button loading={job.busy} disabled={!body.code || !body.name} onClick={() => void save()}>{t("app.save")}</Button>
              {policy && <Button variant="default" loading={job.busy} onClick={() => void retire()}>{t("slas.retire")}</Button>}
            </div>
          </section>
        )}
        {policy && <History path={`/sla/policies/${id}`} />}
      </div>
    </>
  );
}

type Part = { body: PolicyBody; set: (more: Partial<PolicyBody>) => void };

function Terms({ body, set, calendars, isNew }: Part & { calendars: Calendar[]; isNew: boolean }) {
  const { t, code } = useSpeech();
  return (
    <section className="panel stack">
      <h2>{t("slas.promise")}</h2>
      <div className="row" style={{ alignItems: "flex-end" }}>
        {isNew && <TextInput label={t("slas.code")} withAsterisk value={body.code} onChange={(event) => set({ code: event.currentTarget.value })} />}
        <TextInput label={t("slas.name")} withAsterisk value={body.name} onChange={(event) => set({ name: event.currentTarget.value })} />
        {CLOCKS.map((clock) => (
          <NumberInput
            key={clock} label={`${code("slaClock", clock)} (h)`} min={0} max={43920} decimalScale={4} w={150} placeholder={t("slas.noClock")}
            value={body[`${clock}_s`] === null ? "" : (body[`${clock}_s`] as number) / HOUR_S}
            onChange={(value) => set({ [`${clock}_s`]: value === "" ? null : Math.round(Number(value) * HOUR_S) })}
          />
        ))}
        <NativeSelect
          label={t("slas.calendar")} value={String(body.calendar_id ?? "")} onChange={(event) => set({ calendar_id: Number(event.currentTarget.value) || null })}
          data={[{ value: "", label: t("slas.usual") }, ...calendars.map((one) => ({ value: String(one.calendar_id), label: one.name }))]}
        />
      </div>
      <p className="soft small">{t("slas.promiseHint")}</p>
    </section>
  );
}

function ForWhom({ body, set }: Part) {
  const { t, code } = useSpeech();
  const asked = (name: "areas" | "tags" | "teams") => (
    <TextInput
      key={name} label={code("slaCondition", name)} description={t("setting.commas")} defaultValue={body.conditions[name]?.join(", ") ?? ""}
      onChange={(event) => set({ conditions: { ...body.conditions, [name]: listed(event.currentTarget.value) } })}
    />
  );
  return (
    <section className="panel stack">
      <h2>{t("slas.counts")}</h2>
      <div className="row" style={{ alignItems: "flex-end" }}>
        <NativeSelect
          label={t("life.kind")} value={body.kind} onChange={(event) => set({ kind: event.currentTarget.value })}
          data={[{ value: "*", label: t("slas.everyKind") }, ...KINDS.map((value) => ({ value, label: code("kind", value) }))]}
        />
        <NativeSelect
          label={t("slas.priority")} value={String(body.priority ?? "")} onChange={(event) => set({ priority: Number(event.currentTarget.value) || null })}
          data={[{ value: "", label: t("slas.everyPriority") }, ...["1", "2", "3", "4", "5"]]}
        />
        {asked("areas")}{asked("tags")}{asked("teams")}
      </div>
      <Boxes
        label={code("slaCondition", "criticality")} all={["1", "2", "3", "4", "5"]} chosen={(body.conditions.criticality ?? []).map(String)} words={(one) => one}
        change={(next) => set({ conditions: { ...body.conditions, criticality: next.map(Number) } })}
      />
    </section>
  );
}

function Marks({ body, set }: Part) {
  const { t } = useSpeech();
  const put = (at: number, next: Mark | null) => set({ marks: next === null ? body.marks.filter((_, i) => i !== at) : body.marks.map((one, i) => (i === at ? next : one)) });
  return (
    <section className="panel stack">
      <h2>{t("slas.marks")}</h2>
      <p className="soft">{t("slas.marksLead")}</p>
      {body.marks.map((mark, at) => <OneMark key={at} n={at + 1} mark={mark} put={(next) => put(at, next)} />)}
      <div><Button size="xs" variant="default" onClick={() => set({ marks: [...body.marks, { clock: "*", offset_s: HOUR_S, whom: ["role:manager"], do: "notice" }] })}>{t("slas.addMark")}</Button></div>
    </section>
  );
}

function OneMark({ n, mark, put }: { n: number; mark: Mark; put: (next: Mark | null) => void }) {
  const { t, code } = useSpeech();
  const how = mark.fraction !== undefined && mark.fraction !== null ? "percent" : (mark.offset_s ?? 0) < 0 ? "before" : "after";
  const amount = how === "percent" ? (mark.fraction ?? 0) * 100 : Math.abs(mark.offset_s ?? 0) / HOUR_S;
  const at = (kind: string, value: number) => {
    const { fraction: _, offset_s: __, ...rest } = mark;
    put(kind === "percent" ? { ...rest, fraction: (value || 80) / 100 } : { ...rest, offset_s: Math.round((kind === "before" ? -(value || 1) : value) * HOUR_S) });
  };
  return (
    <div className="row" role="group" aria-label={t("slas.mark", { n })} style={{ alignItems: "flex-end" }}>
      <NativeSelect label={t("slas.clock")} value={mark.clock} data={["*", ...CLOCKS].map((value) => ({ value, label: code("slaClock", value === "*" ? "every" : value) }))} onChange={(event) => put({ ...mark, clock: event.currentTarget.value as Mark["clock"] })} />
      <NumberInput label={t("slas.at")} w={110} min={0} value={amount} onChange={(value) => at(how, Number(value))} />
      <NativeSelect aria-label={t("slas.atWhat")} value={how} data={["percent", "before", "after"].map((value) => ({ value, label: code("slaAt", value) }))} onChange={(event) => at(event.currentTarget.value, event.currentTarget.value === "percent" ? 80 : 1)} />
      <NativeSelect label={t("slas.do")} value={mark.do} data={["notice", "raise_priority", "reassign"].map((value) => ({ value, label: code("slaDo", value) }))} onChange={(event) => put({ ...mark, do: event.currentTarget.value as Mark["do"] })} />
      <TextInput label={t("slas.whom")} description={t("slas.whomHint")} defaultValue={mark.whom.join(", ")} onChange={(event) => put({ ...mark, whom: listed(event.currentTarget.value) })} style={{ flex: "1 1 260px", maxWidth: 420 }} />
      <Button size="sm" variant="default" aria-label={`${t("setting.remove")} ${t("slas.mark", { n })}`} onClick={() => put(null)}>{t("setting.remove")}</Button>
    </div>
  );
}

function Pauses({ body, set }: Part) {
  const { t, code } = useSpeech();
  const [reason, setReason] = useState("");
  const pauses = body.pauses;
  const known = ["waiting_parts", "waiting_window", "waiting_access"];
  return (
    <section className="panel stack">
      <h2>{t("slas.pauses")}</h2>
      <NativeSelect
        label={t("slas.pausesHow")} value={pauses === null ? "life" : "own"} style={{ maxWidth: 420 }}
        data={[{ value: "life", label: t("slas.pausesLife") }, { value: "own", label: t("slas.pausesOwn") }]}
        onChange={(event) => set({ pauses: event.currentTarget.value === "life" ? null : Object.fromEntries(known.map((one) => [one, ["response", "resolution"] as SlaClock[]])) })}
      />
      {pauses && Object.entries(pauses).map(([name, clocks]) => (
        <Boxes key={name} label={code("hold", name)} all={CLOCKS} chosen={clocks} words={(one) => code("slaClock", one)} change={(next) => set({ pauses: { ...pauses, [name]: next as SlaClock[] } })} />
      ))}
      {pauses && (
        <div className="row" style={{ alignItems: "flex-end" }}>
          <TextInput label={t("slas.reason")} value={reason} onChange={(event) => setReason(event.currentTarget.value)} />
          <Button size="sm" variant="default" disabled={!reason.trim()} onClick={() => { set({ pauses: { ...pauses, [reason.trim()]: [] } }); setReason(""); }}>{t("slas.addReason")}</Button>
        </div>
      )}
    </section>
  );
}
