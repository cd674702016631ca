// How accounts are secured, and who may come in: what the API says of it, and passkeys in the browser.
import { useQuery } from "@tanstack/react-query";
import { call, query } from "./client";
import { queryClient } from "./queries";
import type { Page } from "./types";

export type Security = { has_password: boolean; codes_on: boolean; recovery_left: number; passkeys_here: boolean; method: string; confirm_needed: boolean };
export type Passkey = { passkey_id: string; name: string; made_at: string; used_at: string | null; backed_up: boolean };
export type Session = { session_id: string; created_at: string; used_at: string | null; expires_at: string | null; method: string; client: string; address: string; current: boolean };
export type Token = { token_id: string; name: string; scopes: string[] | null; created_at: string; expires_at: string | null; used_at: string | null };
export type SiteToken = Token & { user_id: number; login: string; kind: "person" | "agent" };
export type Enrolment = { secret: string; uri: string; qr: string[] };
export type Act = { event_id: number; at: string; kind: string; login: string | null; actor_kind: string; actor: string; detail: string; address: string };
export type Agent = { user_id: number; login: string; name: string; role: string; owner: string | null; disabled: boolean; created_at: string; tokens: number; used_at: string | null };
export type Account = { user_id: number; login: string; name: string; role: string; kind: "person" | "agent"; disabled: boolean; codes_on: boolean; passkeys: number };
export type Rule = { claim: string; value: string; role: string };
export type ProviderBody = { name: string; issuer: string; client_id: string; client_secret?: string; scopes: string; login_claim: string; matching: "none" | "login"; second: "asked" | "trusted"; enabled: boolean };
export type Provider = Omit<ProviderBody, "client_secret"> & { code: string; has_secret: boolean; ours: boolean; version: number; changed_by: string; callback: string; rules: Rule[] };
export type SignInPolicy = { second_roles: string[]; version: number; changed_at: string | null; changed_by: string };
export type Entered = { user: unknown; second: { pending: string } | null };
type Options = { publicKey: Record<string, unknown> & { challenge: string } };

function useItems<T>(name: string, path: string) {
  return useQuery({ queryKey: ["security", name], queryFn: async ({ signal }) => (await call<Page<T>>(path, { signal })).items });
}

export const useSecurity = () => useQuery({ queryKey: ["security", "own"], queryFn: ({ signal }) => call<Security>("/me/security", { signal }) });
export const usePasskeys = () => useItems<Passkey>("passkeys", "/me/passkeys");
export const useSessions = () => useItems<Session>("sessions", "/me/sessions");
export const useTokens = () => useItems<Token>("tokens", "/me/tokens");
export const useOwnRecord = () => useItems<Act>("record", "/me/security/record");
export const useRights = () => useQuery({ queryKey: ["security", "rights"], queryFn: ({ signal }) => call<string[]>("/me/rights", { signal }) });
export const useDoors = () => useItems<{ code: string; name: string }>("doors", "/session/providers");
export const useProviders = () => useItems<Provider>("providers", "/identity-providers");
export const useAgents = () => useItems<Agent>("agents", "/agents");
export const useSiteTokens = () => useItems<SiteToken>("site tokens", "/tokens");
export const useAccounts = () => useItems<Account>("accounts", `/users${query({ limit: 200 })}`);
export const useRecord = () => useItems<Act>("site record", `/identity-record${query({ limit: 50 })}`);
export const useSignInPolicy = () => useQuery({ queryKey: ["security", "policy"], queryFn: ({ signal }) => call<SignInPolicy>("/sign-in-policy", { signal }) });

export async function refreshSecurity(): Promise<void> {
  await queryClient.invalidateQueries({ queryKey: ["security"] });
}

/** Browsers offer passkeys only on a secure origin or localhost, never at an IP address. */
export function passkeysWork(): boolean {
  return "PublicKeyCredential" in window && window.isSecureContext && !/^[\d.]+$|^\[/.test(window.location.hostname);
}

function bytes(text: string): Uint8Array<ArrayBuffer> {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (sign) => sign.charCodeAt(0));
}

function text(buffer: ArrayBuffer | null): string {
  const plain = Array.from(new Uint8Array(buffer ?? new ArrayBuffer(0)), (byte) => String.fromCharCode(byte)).join("");
  return btoa(plain).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Makes a passkey and registers it; false when the person changed their mind. */
export async function addPasskey(name: string): Promise<boolean> {
  const { publicKey } = await call<Options>("/me/passkeys/options", { method: "POST" });
  const user = publicKey.user as { id: string };
  const known = (publicKey.excludeCredentials as { id: string; type: "public-key" }[] | undefined) ?? [];
  const made = await asked(() => navigator.credentials.create({
    publicKey: {
      ...(publicKey as unknown as PublicKeyCredentialCreationOptions), challenge: bytes(publicKey.challenge),
      user: { ...(user as unknown as PublicKeyCredentialUserEntity), id: bytes(user.id) },
      excludeCredentials: known.map((one) => ({ ...one, id: bytes(one.id) })),
    },
  }));
  if (!made) return false;
  const response = made.response as AuthenticatorAttestationResponse;
  const credential = {
    id: made.id, rawId: text(made.rawId), type: "public-key",
    response: { clientDataJSON: text(response.clientDataJSON), attestationObject: text(response.attestationObject) },
  };
  await call("/me/passkeys", { method: "POST", body: { name, credential } });
  return true;
}

/** Signs in with a passkey; false when the person changed their mind. */
export async function enterByPasskey(): Promise<boolean> {
  const { publicKey } = await call<Options>("/session/passkey/options", { method: "POST" });
  const given = await asked(() => navigator.credentials.get({
    publicKey: { ...(publicKey as unknown as PublicKeyCredentialRequestOptions), challenge: bytes(publicKey.challenge), allowCredentials: [] },
  }));
  if (!given) return false;
  const response = given.response as AuthenticatorAssertionResponse;
  const body = {
    id: given.id, rawId: text(given.rawId), type: "public-key",
    response: {
      clientDataJSON: text(response.clientDataJSON), authenticatorData: text(response.authenticatorData),
      signature: text(response.signature), userHandle: text(response.userHandle),
    },
  };
  await call("/session/passkey", { method: "POST", body });
  return true;
}

async function asked(ask: () => Promise<Credential | null>): Promise<PublicKeyCredential | null> {
  try {
    return (await ask()) as PublicKeyCredential | null;
  } catch (error) {
    if (error instanceof DOMException) return null; // cancelled, timed out, or known already
    throw error;
  }
}
