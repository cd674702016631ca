// What a step's measurement should be, in a line.
type Limited = { unit?: string; low?: number | null; high?: number | null };

export function limits({ unit = "", low = null, high = null }: Limited): string {
  const of = unit ? ` ${unit}` : "";
  if (low !== null && high !== null) return `${low}…${high}${of}`;
  if (high !== null) return `≤ ${high}${of}`;
  return low !== null ? `≥ ${low}${of}` : "";
}
