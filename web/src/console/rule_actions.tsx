// The blocks of a rule: one card an action, its inputs as the API describes them; schedules hold blocks of their own.
import { useState } from "react";
import { Button, JsonInput, NativeSelect, TextInput } from "@mantine/core";
import type { ActionHelp } from "../api/rules";
import { useSpeech } from "../i18n";

export type Block = Record<string, unknown>;

const JSON_KINDS = new Set(["values", "object", "value"]);
const CHOICES: Record<string, string[]> = {
  role: ["manager", "admin", "planner"],
  audience: ["internal", "requester"],
  kind: ["inspection", "corrective", "preventive", "incident", "request", "sensor-fault"],
};
const FIRST: Record<string, unknown> = {
  values: { priority: 1 }, people: ["assignee"], template: "{ticket.ref}", length: "1h", tags: ["tag"], role: "manager",
  kind: "inspection", code: "code", name: "name", state: "done", expression: "ticket.open",
};

export function Blocks({ blocks, change, actions, depth = 0 }: {
  blocks: Block[]; change: (next: Block[]) => void; actions: ActionHelp[]; depth?: number;
}) {
  const { t } = useSpeech();
  const put = (at: number, next: Block | null) =>
    change(next === null ? blocks.filter((_, i) => i !== at) : blocks.map((one, i) => (i === at ? next : one)));
  return (
    <div className="stack">
      {blocks.map((block, at) => (
        <fieldset key={at} className="panel stack tight" style={{ margin: 0 }}>
          <legend className="hidden">{t("rules.action", { n: at + 1 })}</legend>
          <div className="row between">
            <NativeSelect
              aria-label={t("rules.action", { n: at + 1 })} value={String(block.do)}
              data={actions.map((one) => one.do)}
              onChange={(event) => put(at, fresh(event.currentTarget.value, actions))}
            />
            <Button size="xs" variant="default" onClick={() => put(at, null)}>{t("rules.remove")}</Button>
          </div>
          <Arguments block={block} change={(next) => put(at, next)} actions={actions} depth={depth} />
        </fieldset>
      ))}
      <div><Button size="xs" variant="default" onClick={() => change([...blocks, fresh("notify", actions)])}>{t("rules.add")}</Button></div>
    </div>
  );
}

function Arguments({ block, change, actions, depth }: { block: Block; change: (next: Block) => void; actions: ActionHelp[]; depth: number }) {
  const help = actions.find((one) => one.do === block.do);
  if (!help) return null;
  const set = (name: string, value: unknown) => {
    const { [name]: _, ...rest } = block;
    change(value === undefined ? rest : { ...rest, [name]: value });
  };
  return (
    <>
      {Object.entries(help.arguments).map(([name, described]) => {
        const [kind = "", ...hint] = described.split(" ");
        const needed = !kind.endsWith("?");
        return (
          <Argument
            key={`${String(block.do)} ${name}`} name={name} kind={kind.replace("?", "")} needed={needed} hint={hint.join(" ")}
            value={block[name]} change={(value) => set(name, value)} actions={actions} depth={depth}
          />
        );
      })}
    </>
  );
}

type Given = {
  name: string; kind: string; needed: boolean; hint: string; value: unknown; change: (value: unknown) => void;
  actions: ActionHelp[]; depth: number;
};

function Argument({ name, kind, needed, hint, value, change, actions, depth }: Given) {
  if (kind === "actions") return <div style={{ paddingLeft: 16 }}><Blocks blocks={(value as Block[]) ?? []} change={change} actions={actions} depth={depth + 1} /></div>;
  const choices = CHOICES[kind];
  if (choices) {
    return (
      <NativeSelect
        label={name} withAsterisk={needed} data={needed ? choices : ["", ...choices]} value={String(value ?? "")}
        onChange={(event) => change(event.currentTarget.value || undefined)}
      />
    );
  }
  if (JSON_KINDS.has(kind)) return <Structured name={name} needed={needed} hint={hint} value={value} change={change} />;
  const list = kind === "people" || kind === "tags";
  const shown = list && Array.isArray(value) ? value.join(", ") : typeof value === "object" && value !== null ? JSON.stringify(value) : String(value ?? "");
  return (
    <TextInput
      label={name} description={hint || undefined} withAsterisk={needed} value={shown}
      onChange={(event) => change(written(event.currentTarget.value, list))}
    />
  );
}

function written(text: string, list: boolean): unknown {
  if (!text) return undefined;
  if (list) return text.split(",").map((one) => one.trimStart());
  if (text.startsWith("{\"")) {
    try {
      return JSON.parse(text);
    } catch {
      return text; // a text that only looks like two languages
    }
  }
  return text;
}

/** JSON is kept as typed until it can be read. */
function Structured({ name, needed, hint, value, change }: Pick<Given, "name" | "needed" | "hint" | "value" | "change">) {
  const [text, setText] = useState(() => (value === undefined ? "" : JSON.stringify(value)));
  const type = (next: string) => {
    setText(next);
    if (!next.trim()) return change(undefined);
    try {
      change(JSON.parse(next));
    } catch {
      change(next); // the check says what is wrong
    }
  };
  return <JsonInput label={name} description={hint || undefined} withAsterisk={needed} autosize minRows={1} value={text} onChange={type} />;
}

function fresh(name: string, actions: ActionHelp[]): Block {
  const help = actions.find((one) => one.do === name);
  const needed = Object.entries(help?.arguments ?? {}).filter(([, described]) => !described.split(" ")[0]?.endsWith("?"));
  const values = needed.map(([argument, described]) => {
    const kind = described.split(" ")[0] ?? "";
    return [argument, kind === "actions" ? [fresh("notify", actions)] : (FIRST[kind] ?? "")];
  });
  return { do: name, ...Object.fromEntries(values) };
}
