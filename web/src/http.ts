/** Requests to the server as whoever is signed in. An expired access token is refreshed once per request. */
import { toApiError } from './api-error.ts';
import { accessToken, forgetTokens, refreshAccess } from './session.ts';

/** Throws ApiError for an answer other than 2xx. */
export const request = async (path: string, init: RequestInit = {}, retry = true): Promise<Response> => {
  const headers = new Headers(init.headers);
  const token = accessToken();
  if (token) headers.set('authorization', `Bearer ${token}`);
  const response = await fetch(path, { ...init, headers });
  if (response.status === 401 && retry && (await refreshAccess(token))) return request(path, init, false);
  if (response.status === 401 && accessToken() === token) forgetTokens();
  if (!response.ok) throw await toApiError(response);
  return response;
};

/** As `request`; undefined for 204. */
export const json = async <T>(path: string, method = 'GET', body?: unknown, signal?: AbortSignal): Promise<T> => {
  const response = await request(path, { method, ...(signal ? { signal } : {}), ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }) });
  return (response.status === 204 ? undefined : await response.json()) as T;
};

export interface Page<T> { readonly items: readonly T[]; readonly next_cursor: string | null }

/** `complete`: these are all there are. */
export interface Items<T> { readonly items: readonly T[]; readonly complete: boolean }

/** Page after page, until there are `limit` items or no more. `path` ends in `?` or holds a query. */
export const pages = async <T>(path: string, limit: number): Promise<Items<T>> => {
  const items: T[] = [];
  let cursor: string | null = null;
  do {
    const page: Page<T> = await json<Page<T>>(`${path}&limit=500${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`);
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor && items.length < limit);
  return { items, complete: cursor === null };
};
