// Choosing a machine by code or name; with "" for every one, or none, where that may be said.
import { Select } from "@mantine/core";
import { useAssets } from "../api/queries";

const MOST_SHOWN = 50;

export function AssetSelect({ label, hint, value, change, blank, required }: {
  label: string; hint?: string; value: string; change: (assetId: string) => void; blank?: string; required?: boolean;
}) {
  const assets = useAssets();
  const known = (assets.data ?? []).map((one) => ({ value: String(one.asset_id), label: `${one.code} · ${one.name}` }));
  return (
    <Select
      label={label} description={hint} searchable limit={MOST_SHOWN} withAsterisk={required} allowDeselect={false} w={280} maw="100%"
      data={blank === undefined ? known : [{ value: "", label: blank }, ...known]} value={blank === undefined ? value || null : value}
      onChange={(next) => change(next ?? "")}
    />
  );
}

/** The classes that machines of this site have. */
export function useClasses(): string[] {
  const assets = useAssets();
  return [...new Set((assets.data ?? []).map((one) => one.asset_class).filter(Boolean))].sort();
}
