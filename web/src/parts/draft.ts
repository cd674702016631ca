// What a person writes, beside what stands: it follows what stands until something was typed, and is never wiped after that.
import { useState } from "react";

export type Standing = { version: number; changed_by: string };

export type Drafted<T extends Standing, D> = {
  draft: D;
  set: (next: D) => void;
  base: T | null; // what the draft was begun from, or settled with
  version: number | undefined; // for If-Match
  theirs: T | null; // what somebody else has made of it meanwhile
  dirty: boolean;
  take: () => void;
  keep: () => void;
  saved: (made: T) => void;
};

const same = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other);

export function useDraft<T extends Standing, D>(standing: T | null, read: (one: T) => D, fresh: () => D): Drafted<T, D> {
  const [base, setBase] = useState<T | null>(standing);
  const [draft, set] = useState<D>(() => (standing ? read(standing) : fresh()));
  const dirty = base === null || !same(draft, read(base));
  const newer = standing !== null && (base === null || standing.version > base.version) ? standing : null;
  const alike = newer !== null && base !== null && same(read(base), read(newer)); // what changed is nothing that is written here
  const agreed = newer !== null && (!dirty || same(draft, read(newer)));
  const begin = (from: T) => {
    setBase(from);
    set(read(from));
  };
  if (agreed) begin(newer);
  else if (alike) setBase(newer);
  const theirs = agreed || alike ? null : newer;
  return {
    draft, set, base, version: base?.version, theirs, dirty,
    take: () => theirs && begin(theirs),
    keep: () => theirs && setBase(theirs),
    saved: begin,
  };
}
