// It has failed: ends the machine's life, scores what was predicted of it, and teaches the model of its class.
import { Button } from "@mantine/core";
import { useState } from "react";
import { plantNow } from "../api/clock";
import { queryClient, useMe } from "../api/queries";
import { useSend } from "../api/send";
import type { Prediction } from "../api/types";
import { useSpeech } from "../i18n";
import { toast } from "../parts/toasts";
import { SendProblem } from "../parts/transition";

export function RecordFailure({ one }: { one: Prediction }) {
  const { t, say } = useSpeech();
  const me = useMe();
  const [asked, setAsked] = useState<string | null>(null);
  const sender = useSend(`failed.${one.alarm_id}`, async () => {
    setAsked(null);
    toast(t("record.failedDone"));
    await queryClient.invalidateQueries({ queryKey: ["prediction"] });
  });
  if (!me.data || me.data.role === "agent") return null;
  const send = (at: string) =>
    void sender.send(`/assets/${one.asset.asset_id}/failures`, {
      mode: one.mode.code, failed_at: at, ...(one.ticket ? { ticket_id: one.ticket.ticket_id } : {}),
    });
  return (
    <div className="stack">
      {asked === null ? (
        <Button variant="default" onClick={() => setAsked(new Date(plantNow()).toISOString())}>{t("record.failed")}</Button>
      ) : (
        <>
          <p>{t("record.failedAsk", { asset: one.asset.code, mode: say(one.mode.name) })}</p>
          <div className="row">
            <Button onClick={() => send(asked)} loading={sender.sending}>{t("record.failedYes")}</Button>
            <Button variant="default" onClick={() => setAsked(null)}>{t("app.cancel")}</Button>
          </div>
        </>
      )}
      <SendProblem sender={sender} />
    </div>
  );
}
