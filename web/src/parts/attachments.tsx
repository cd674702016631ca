// Files of a ticket: pictures small, sound and video to play, everything else to download; and the way to add one.
import { useRef, useState } from "react";
import { Button } from "@mantine/core";
import { newKey, Problem } from "../api/client";
import { contentUrl, upload, useAttachments, type Attachment } from "../api/work";
import { useSpeech } from "../i18n";
import { problemText } from "./states";

export const PICTURES = "image/jpeg,image/png,image/webp";
const ANYTHING = `${PICTURES},audio/*,video/*,application/pdf,text/plain`;

export function AttachmentsPanel({ ticketId, id }: { ticketId: number; id?: string }) {
  const { t } = useSpeech();
  const files = useAttachments(ticketId);
  return (
    <section className="panel stack" aria-labelledby={id}>
      <h2 id={id}>{t("work.files")}</h2>
      {files.data?.length ? <FileList files={files.data} /> : <p className="soft">{t("work.noFiles")}</p>}
      <div className="attach-row">
        <FileButton ticketId={ticketId} label={t("work.photo")} accept={PICTURES} camera />
        <FileButton ticketId={ticketId} label={t("work.voice")} accept="audio/*" camera />
        <FileButton ticketId={ticketId} label={t("work.file")} accept={ANYTHING} />
      </div>
    </section>
  );
}

export function FileList({ files }: { files: Attachment[] }) {
  return <ul className="attachments">{files.map((one) => <li key={one.attachment_id}><Shown file={one} /></li>)}</ul>;
}

function Shown({ file }: { file: Attachment }) {
  const { t } = useSpeech();
  const original = contentUrl(file.attachment_id, "original");
  return (
    <figure>
      {file.kind === "image" && (
        <a href={contentUrl(file.attachment_id, "large")} target="_blank" rel="noreferrer">
          <img src={contentUrl(file.attachment_id, "small")} alt={file.note || file.name} loading="lazy" />
        </a>
      )}
      {file.kind === "audio" && <audio controls preload="none" src={original} aria-label={file.name} />}
      {file.kind === "video" && <video controls preload="none" src={original} aria-label={file.name} />}
      <figcaption className="small">
        <a href={original} download={file.name}>{file.name}</a> <span className="soft">{file.by} · {size(file.bytes)}</span>
        {file.note && <span className="written">{file.note}</span>}
        {file.asset && <a className="chip accent" href={`#/assets/${file.asset.asset_id}`}>{t("work.names", { asset: file.asset.code })}</a>}
      </figcaption>
    </figure>
  );
}

function size(bytes: number): string {
  return bytes >= 1_000_000 ? `${(bytes / 1_000_000).toFixed(1)} MB` : `${Math.max(1, Math.round(bytes / 1000))} kB`;
}

/** One tap: camera or microphone where the phone has one, else its files. A failed file stays chosen, to be sent again. */
export function FileButton({ ticketId, label, accept, camera, added }: {
  ticketId: number;
  label: string;
  accept: string;
  camera?: boolean;
  added?: (file: Attachment) => void;
}) {
  const { t } = useSpeech();
  const input = useRef<HTMLInputElement>(null);
  const [held, setHeld] = useState<{ file: File; key: string } | null>(null);
  const [sending, setSending] = useState(false);
  const [problem, setProblem] = useState("");
  const send = async (one: { file: File; key: string }) => {
    setHeld(one);
    setSending(true);
    setProblem("");
    try {
      added?.(await upload(ticketId, one.file, one.key));
      setHeld(null);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setProblem(error.status === 0 ? problemText(error, t) : error.detail || problemText(error, t));
      if (!error.retryable) setHeld(null);
    } finally {
      setSending(false);
    }
  };
  return (
    <div className="attach">
      <input
        ref={input} type="file" hidden accept={accept} capture={camera ? "environment" : undefined} aria-label={label}
        onChange={(event) => {
          const file = event.currentTarget.files?.[0];
          if (file) void send({ file, key: newKey() });
          event.currentTarget.value = "";
        }}
      />
      <Button variant="default" className="thumb" loading={sending} onClick={() => input.current?.click()}>{label}</Button>
      {problem && <p className="field-error" role="alert">{problem}</p>}
      {held && !sending && <Button variant="default" className="thumb" onClick={() => void send(held)}>{t("app.retry")}</Button>}
    </div>
  );
}
