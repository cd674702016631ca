// The asset tree with its health lights and the age of the data behind each.
import { useState } from "react";
import { TextInput } from "@mantine/core";
import { useAssets } from "../api/queries";
import type { AssetItem, Me } from "../api/types";
import { useSpeech } from "../i18n";
import { Age, Criticality, HealthLight } from "../parts/marks";
import { Await, Empty } from "../parts/states";
import { go } from "../router";
import { ROW } from "./list_keys";

type Branch = { asset: AssetItem; depth: number; children: number };

export default function Assets({ me }: { me: Me }) {
  const { t } = useSpeech();
  const assets = useAssets();
  const [text, setText] = useState("");
  return (
    <>
      <div className="page-head">
        <h1>{t("asset.title")}</h1>
        <div className="row">
          <a className="tall-link" href="#/assets/classes">{t("lib.title")}</a>
          {me.role !== "engineer" && me.role !== "agent" && <a className="tall-link" href="#/assets/import">{t("atable.title")}</a>}
          <TextInput
            aria-label={t("asset.filter")} placeholder={t("asset.filter")} value={text} w={260}
            onChange={(event) => setText(event.currentTarget.value)}
          />
        </div>
      </div>
      <Await query={assets}>
        {(items) =>
          items.length === 0 ? (
            <div className="panel"><Empty title={t("asset.empty")} hint={t("asset.emptyHint")} /></div>
          ) : (
            <Tree items={items} text={text.trim().toLowerCase()} />
          )
        }
      </Await>
    </>
  );
}

function Tree({ items, text }: { items: AssetItem[]; text: string }) {
  const { t } = useSpeech();
  const [shut, setShut] = useState<ReadonlySet<number>>(new Set());
  const toggle = (id: number) => {
    const next = new Set(shut);
    if (!next.delete(id)) next.add(id);
    setShut(next);
  };
  const rows = text ? items.filter((one) => matches(one, text)).map(flat) : branches(items, shut);
  return (
    <div className="scroll">
      <table className="list middle">
        <thead>
          <tr>
            <th scope="col">{t("asset.name")}</th>
            <th scope="col">{t("asset.health")}</th>
            <th scope="col">{t("asset.class")}</th>
            <th scope="col">{t("asset.location")}</th>
            <th scope="col">{t("criticality.label")}</th>
            <th scope="col" className="num">{t("asset.openOrders")}</th>
            <th scope="col">{t("asset.lastSeen")}</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => <Row key={row.asset.asset_id} row={row} shut={shut.has(row.asset.asset_id)} toggle={toggle} />)}
        </tbody>
      </table>
    </div>
  );
}

function Row({ row, shut, toggle }: { row: Branch; shut: boolean; toggle: (id: number) => void }) {
  const { code } = useSpeech();
  const { asset, depth, children } = row;
  const machine = asset.asset_class !== "";
  const to = `/assets/${asset.asset_id}`;
  return (
    <tr className="link" onClick={(event) => !(event.target as HTMLElement).closest("a,button") && go(to)}>
      <td>
        <div className="tree-name" style={{ paddingLeft: depth * 22 }}>
          {children > 0 ? (
            <button className="twig" aria-expanded={!shut} aria-label={asset.code} onClick={() => toggle(asset.asset_id)}>
              {shut ? "▸" : "▾"}
            </button>
          ) : (
            <span className="twig" aria-hidden="true" />
          )}
          <a className="title" href={`#${to}`} {...{ [ROW]: "" }}>{asset.code}</a>
          <span className="soft">{asset.name}</span>
        </div>
      </td>
      <td>{machine || asset.health !== "unknown" ? <HealthLight health={asset.health} /> : null}</td>
      <td className="soft">{machine ? code("class", asset.asset_class) : code("level", asset.level)}</td>
      <td className="soft">{asset.location}</td>
      <td>{machine ? <Criticality value={asset.criticality} /> : null}</td>
      <td className="num">{asset.open_tickets || ""}</td>
      <td>{machine ? <Age at={asset.last_seen} staleS={asset.health === "stale" ? 0 : undefined} /> : null}</td>
    </tr>
  );
}

/** Depth first, children by code; an asset whose parent is not listed counts as a root. */
export function branches(items: AssetItem[], shut: ReadonlySet<number>): Branch[] {
  const known = new Set(items.map((one) => one.asset_id));
  const below = new Map<number | null, AssetItem[]>();
  for (const one of items) {
    const parent = one.parent_id !== null && known.has(one.parent_id) ? one.parent_id : null;
    below.set(parent, [...(below.get(parent) ?? []), one]);
  }
  const walk = (parent: number | null, depth: number): Branch[] =>
    (below.get(parent) ?? [])
      .sort((a, b) => a.code.localeCompare(b.code))
      .flatMap((asset) => {
        const children = below.get(asset.asset_id)?.length ?? 0;
        const inside = children && !shut.has(asset.asset_id) ? walk(asset.asset_id, depth + 1) : [];
        return [{ asset, depth, children }, ...inside];
      });
  return walk(null, 0);
}

function flat(asset: AssetItem): Branch {
  return { asset, depth: 0, children: 0 };
}

function matches(one: AssetItem, text: string): boolean {
  return `${one.code} ${one.name} ${one.location} ${one.asset_class}`.toLowerCase().includes(text);
}
