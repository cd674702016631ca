// Who is to be sent, and teams: what the API says of them.
import { useQuery } from "@tanstack/react-query";
import { call } from "./client";
import { queryClient } from "./queries";

export type Shift = { weekday: number; starts: string; ends: string };
export type Held = { code: string; valid_until: string | null };
export type Stretch = { ident: number; begins: string; ends: string; kind: string; note: string };
export type PersonBody = { name: string; skills: Record<string, number>; shifts: Shift[]; certificates: Held[]; x_m: number; y_m: number };
export type Person = PersonBody & {
  engineer_id: number; user_id: number | null; login: string; on_shift: boolean; open_jobs: number;
  absences: Stretch[]; on_call: Stretch[]; feed_since: string | null; version: number; changed_by: string;
};
export type Team = { team_id: number; name: string; user_ids: number[]; asset_ids: number[]; version: number; changed_by: string };
export type Fellow = { user_id: number; name: string; role: string };

export function usePeople() {
  return useQuery({
    queryKey: ["engineer", "people"], queryFn: async ({ signal }) => (await call<{ items: Person[] }>("/engineers", { signal })).items, refetchInterval: 30_000,
  });
}

export function useTeams(enabled: boolean) {
  return useQuery({ queryKey: ["team", "list"], queryFn: ({ signal }) => call<Team[]>("/teams", { signal }), enabled, refetchInterval: 30_000 });
}

export function useFellows(enabled: boolean) {
  return useQuery({ queryKey: ["team", "people"], queryFn: ({ signal }) => call<Fellow[]>("/teams/people", { signal }), enabled });
}

export async function refreshPeople(): Promise<void> {
  await queryClient.invalidateQueries({ queryKey: ["engineer"] });
}

export async function refreshTeams(): Promise<void> {
  await queryClient.invalidateQueries({ queryKey: ["team"] });
}
