// The picture of a guide's step: one that an order has, or a new one, which is kept with the order that it was taken at.
import { useState } from "react";
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { useTickets } from "../api/queries";
import { contentUrl, useAttachments } from "../api/work";
import { useSpeech } from "../i18n";
import { FileButton, PICTURES } from "../parts/attachments";

const SHOWN = 20;

type Props = { n: number; picture: number | null; choose: (picture: number | null) => void };

export function StepPicture({ n, picture, choose }: Props) {
  const { t } = useSpeech();
  const [open, setOpen] = useState(false);
  return (
    <div className="stack tight">
      <div className="row">
        {picture !== null && <img src={contentUrl(picture, "small")} alt={t("guides.pictureOf", { n })} style={{ height: 64, maxWidth: 120, objectFit: "cover", borderRadius: 6 }} />}
        <Button size="xs" variant="default" aria-expanded={open} aria-label={`${t("guides.pictureChoose")}: ${t("guides.step", { n })}`} onClick={() => setOpen(!open)}>{t("guides.pictureChoose")}</Button>
        {picture !== null && <Button size="xs" variant="default" aria-label={`${t("guides.pictureRemove")}: ${t("guides.step", { n })}`} onClick={() => choose(null)}>{t("guides.pictureRemove")}</Button>}
      </div>
      {open && <Picker choose={(one) => { choose(one); setOpen(false); }} />}
    </div>
  );
}

function Picker({ choose }: { choose: (picture: number) => void }) {
  const { t } = useSpeech();
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState<number | null>(null);
  const found = useTickets({ q: text.trim(), limit: SHOWN });
  const orders = found.data?.items ?? [];
  const order = orders.find((one) => one.ticket_id === chosen)?.ticket_id ?? orders[0]?.ticket_id ?? null;
  return (
    <div className="stack tight" role="group" aria-label={t("guides.pictureChoose")}>
      <div className="row" style={{ alignItems: "flex-end" }}>
        <TextInput label={t("guides.pictureFind")} value={text} onChange={(event) => setText(event.currentTarget.value)} />
        <NativeSelect
          label={t("guides.pictureOrder")} value={order ?? ""} onChange={(event) => setChosen(Number(event.currentTarget.value))} style={{ flex: "1 1 200px", maxWidth: 420 }}
          data={orders.map((one) => ({ value: String(one.ticket_id), label: `${one.ref} ${one.title}` }))}
        />
      </div>
      {order !== null && <Pictures key={order} ticketId={order} choose={choose} />}
    </div>
  );
}

function Pictures({ ticketId, choose }: { ticketId: number; choose: (picture: number) => void }) {
  const { t } = useSpeech();
  const files = useAttachments(ticketId);
  const pictures = files.data?.filter((one) => one.kind === "image") ?? [];
  return (
    <>
      {files.data && pictures.length === 0 && <p className="soft small">{t("guides.pictureNone")}</p>}
      <ul className="attachments">
        {pictures.map((one) => (
          <li key={one.attachment_id}>
            <button type="button" className="plain" aria-label={t("guides.pictureUse", { name: one.name })} onClick={() => choose(one.attachment_id)} style={{ width: "100%" }}>
              <img src={contentUrl(one.attachment_id, "small")} alt="" loading="lazy" />
            </button>
          </li>
        ))}
      </ul>
      <FileButton ticketId={ticketId} label={t("guides.pictureUpload")} accept={PICTURES} added={(file) => { if (file.kind === "image") choose(file.attachment_id); }} />
    </>
  );
}
