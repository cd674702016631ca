// On what a person lets something open orders: what it did in the shadow, a back-test of just this, or their own word.
import { NativeSelect, Radio, Textarea } from "@mantine/core";
import { goesOn, useMatching, type Configuration } from "../api/backtests";
import { useSpeech } from "../i18n";
import { Await } from "../parts/states";
import { Going, inWords, Run } from "./backtests";

export type Ground = "shadow" | "backtest" | "override";
export type Grounds = { grounds: Ground; backtest_id: number | null; reason: string };

/** What goes out with the decision: nothing that was not chosen. */
export function sentGrounds({ grounds, backtest_id }: Grounds): { grounds: Ground; backtest_id?: number } {
  return grounds === "backtest" && backtest_id !== null ? { grounds, backtest_id } : { grounds };
}

export function areGiven({ grounds, backtest_id, reason }: Grounds): boolean {
  return grounds === "shadow" || (grounds === "backtest" ? backtest_id !== null : reason.trim().length > 0);
}

export function GroundsChoice({ kinds, config, value, change, asksReason }: {
  kinds: Ground[]; config: Configuration; value: Grounds; change: (next: Grounds) => void; asksReason?: boolean;
}) {
  const { t, code } = useSpeech();
  return (
    <div className="stack tight">
      <NativeSelect label={t("bt.grounds")} description={code("groundsMeans", value.grounds)} value={value.grounds} style={{ maxWidth: 560 }}
        data={kinds.map((one) => ({ value: one, label: code("grounds", one) }))} onChange={(event) => change({ ...value, grounds: event.currentTarget.value as Ground, backtest_id: null })} />
      {value.grounds === "backtest" && <Matches config={config} chosen={value.backtest_id} choose={(backtest_id) => change({ ...value, backtest_id })} />}
      {value.grounds === "override" && asksReason && <Textarea label={t("gate.reason")} withAsterisk maxLength={1000} autosize minRows={1} value={value.reason} onChange={(event) => change({ ...value, reason: event.currentTarget.value })} />}
    </div>
  );
}

function Matches({ config, chosen, choose }: { config: Configuration; chosen: number | null; choose: (id: number) => void }) {
  const speech = useSpeech();
  const found = useMatching(config);
  return (
    <Await query={found}>
      {({ backtests }) => {
        const done = backtests.filter((one) => one.state === "done");
        return (
          <div className="stack tight">
            {done.length === 0 && <p className="soft">{speech.t("bt.noMatch")}</p>}
            {done.map((one) => <Radio key={one.backtest_id} name="backtest" checked={chosen === one.backtest_id} onChange={() => choose(one.backtest_id)} label={inWords(one, speech)} />)}
            {backtests.filter(goesOn).map((one) => <Going key={one.backtest_id} one={one} />)}
            <Run config={config} />
          </div>
        );
      }}
    </Await>
  );
}
