// A ticket by hand: three things to say, nothing lost when sending fails.
import { useState, type FormEvent } from "react";
import { Button, NativeSelect, Select, Textarea, TextInput } from "@mantine/core";
import { useCustomFields, type CustomValues } from "../api/kinds";
import { useAssets } from "../api/queries";
import { useSend, useStored } from "../api/send";
import type { Me, Ticket, TicketKind } from "../api/types";
import { useSpeech } from "../i18n";
import { CustomInputs } from "../parts/custom_fields";
import { Duplicates } from "../parts/duplicates";
import { toast } from "../parts/toasts";
import { SendProblem } from "../parts/transition";
import { go } from "../router";

const KINDS: TicketKind[] = ["corrective", "incident", "inspection", "request"];
const REPORTED: TicketKind[] = ["incident", "request"]; // what a requester opens; a planner makes orders of them
const PRIORITIES = [1, 2, 3, 4, 5];
type Draft = { kind: string; title: string; description: string; asset: string; priority: string; fields?: CustomValues };
const BLANK: Draft = { kind: "corrective", title: "", description: "", asset: "", priority: "3" };

export default function NewTicket({ me }: { me: Me }) {
  const { t, code } = useSpeech();
  const reports = me.role === "requester" || me.role === "agent";
  const kinds = reports ? REPORTED : KINDS;
  const assets = useAssets(me.role !== "requester");
  const [draft, setDraft] = useStored<Draft>("draft.new", { ...BLANK, kind: kinds[0]! });
  const fields = useCustomFields(draft.kind);
  const [tried, setTried] = useState(false);
  const set = (name: keyof Draft) => (value: string) => setDraft({ ...draft, [name]: value });
  const sender = useSend<Ticket>("new", (ticket) => {
    setDraft({ ...BLANK, kind: kinds[0]! });
    toast(t("new.opened", { ref: ticket.ref }));
    go(`/orders/${ticket.ticket_id}`);
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (draft.title.trim()) void sender.send("/tickets", outgoing(draft));
  };
  const machines = (assets.data ?? []).map((one) => ({ value: String(one.asset_id), label: `${one.code} ${one.name}` }));
  return (
    <>
      <div className="page-head"><h1>{t("new.title")}</h1></div>
      <form className="panel stack" style={{ maxWidth: 640 }} onSubmit={submit} noValidate>
        <NativeSelect
          label={t("new.kind")} value={draft.kind} onChange={(event) => setDraft({ ...draft, kind: event.currentTarget.value, fields: {} })}
          data={kinds.map((value) => ({ value, label: code("kind", value) }))}
        />
        <TextInput
          label={t("new.subject")} withAsterisk maxLength={200} value={draft.title} onChange={(event) => set("title")(event.currentTarget.value)}
          error={tried && !draft.title.trim() ? t("field.required") : undefined}
        />
        <Textarea
          label={t("new.description")} autosize minRows={4} value={draft.description}
          onChange={(event) => set("description")(event.currentTarget.value)}
        />
        {machines.length > 0 && (
          <Select
            label={t("new.asset")} placeholder={t("new.noAsset")} searchable clearable data={machines}
            value={draft.asset || null} onChange={(value) => set("asset")(value ?? "")}
          />
        )}
        <NativeSelect
          label={t("new.priority")} value={draft.priority} onChange={(event) => set("priority")(event.currentTarget.value)}
          data={PRIORITIES.map((value) => ({ value: String(value), label: code("priority", value) }))}
        />
        <CustomInputs
          fields={(fields.data ?? []).filter((one) => one.field_id !== null)} values={draft.fields ?? {}} required={(one) => one.required === "open"}
          set={(values) => setDraft({ ...draft, fields: values })}
        />
        <div><Button type="submit" loading={sender.sending}>{t("new.submit")}</Button></div>
        <SendProblem sender={sender} />
      </form>
      <Duplicates
        title={draft.title} description={draft.description} assetId={draft.asset ? Number(draft.asset) : undefined}
        joined={() => setDraft({ ...BLANK, kind: kinds[0]! })}
      />
    </>
  );
}

function outgoing(draft: Draft) {
  return {
    kind: draft.kind,
    title: draft.title.trim(),
    description: draft.description.trim(),
    asset_id: draft.asset ? Number(draft.asset) : undefined,
    priority: Number(draft.priority),
    fields: filled(draft.fields ?? {}),
  };
}

/** Only what was filled in: a field that another kind had stays behind. */
function filled(values: CustomValues): CustomValues | undefined {
  const kept = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return kept.length ? Object.fromEntries(kept) : undefined;
}
