/** Who is signed in: the tokens, kept in localStorage so that all tabs share them, and what they allow. */
import { toApiError } from './api-error.ts';

interface Tokens { readonly access_token: string; readonly refresh_token: string }

const ACCESS = 'imageflow.access_token';
const REFRESH = 'imageflow.refresh_token';
const SIGNED_OUT = 'imageflow:signed-out';

export const accessToken = (): string | null => localStorage.getItem(ACCESS);
export const refreshToken = (): string | null => localStorage.getItem(REFRESH);

export const onSignedOut = (listener: () => void): (() => void) => {
  addEventListener(SIGNED_OUT, listener);
  return () => removeEventListener(SIGNED_OUT, listener);
};

export const keepTokens = (tokens: Tokens): void => {
  localStorage.setItem(ACCESS, tokens.access_token);
  localStorage.setItem(REFRESH, tokens.refresh_token);
};

/** Back to the log-in. */
export const forgetTokens = (): void => {
  localStorage.removeItem(ACCESS);
  localStorage.removeItem(REFRESH);
  sessionStorage.clear(); // publish keys that this user made
  dispatchEvent(new Event(SIGNED_OUT));
};

let refreshing: Promise<boolean> | null = null;

/**
 * Gets a new access token in place of `refused`; false when one must log in again. One refresh at a time, whoever asks and in whichever tab: the
 * server takes a refresh token that is used twice for stolen and ends the whole log-in. Throws when the server cannot tell now.
 */
export const refreshAccess = (refused: string | null): Promise<boolean> => {
  refreshing ??= acrossTabs(() => exchange(refused)).finally(() => { refreshing = null; });
  return refreshing;
};

/** Browsers give locks to pages served by HTTPS or from localhost only. */
const acrossTabs = (work: () => Promise<boolean>): Promise<boolean> =>
  ('locks' in navigator ? navigator.locks.request('imageflow.refresh', work) : work());

const exchange = async (refused: string | null): Promise<boolean> => {
  if (accessToken() !== refused) return accessToken() !== null; // another tab was quicker
  const token = refreshToken();
  if (!token) return false;
  const response = await fetch('/v1/auth/refresh', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ refresh_token: token }) });
  if (response.status >= 500 || response.status === 429) throw await toApiError(response);
  if (!response.ok) return false;
  keepTokens((await response.json()) as Tokens);
  return true;
};

/** Whether the signed-in user may do something, for what to offer; the server decides. */
export const may = (permission: 'camera:manage' | 'model:manage' | 'pipeline:execute' | 'detection:view' | 'stream:publish' | 'recording:manage'): boolean => {
  const claims = accessToken()?.split('.')[1];
  if (!claims) return false;
  try {
    const { permissions = [] } = JSON.parse(atob(claims.replaceAll('-', '+').replaceAll('_', '/'))) as { permissions?: readonly string[] };
    return permissions.includes('*') || permissions.includes(permission);
  } catch {
    return false; // not one of our tokens
  }
};
