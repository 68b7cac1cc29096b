/** The REST API as the pages use it (contract 0.3–0.5). An expired access token is refreshed once per request. */
import { toApiError } from './api-error.ts';
import { accessToken, forgetTokens, keepTokens, refreshAccess, refreshToken } from './session.ts';

export interface CameraUrls {
  readonly whip: string;
  readonly whep: string;
  readonly hls: string;
  readonly rtsp: string;
  readonly websocket: string;
  readonly page: string;
}

export interface CameraSession {
  readonly id: string;
  readonly phase: 'connecting' | 'live' | 'interrupted' | 'ended';
  readonly protocol: string;
  readonly started_at: string;
  readonly reason: string | null;
}

export interface Camera {
  readonly id: string;
  readonly name: string;
  readonly urls: CameraUrls;
  /** The same media straight from the edge's port; null behind a proxy. */
  readonly direct_urls?: Pick<CameraUrls, 'whip' | 'whep' | 'hls'> | null;
  readonly pipelines: readonly (string | { readonly id: string })[];
  readonly recording: { readonly policy: string };
  readonly session?: CameraSession | null;
  /** The edge's figures while there is a session. */
  readonly stats?: { readonly video_codec?: string | null; readonly audio_codec?: string | null } | null;
}

/** What needs an operator. */
export interface Alarm {
  readonly id: string;
  readonly camera: string | null;
  readonly code: string;
  readonly message: string;
  readonly at: string;
}

export interface Segment {
  readonly id: string;
  readonly start: string;
  readonly duration: number;
  readonly bytes: number;
  readonly gap_before: number | null;
  readonly open: boolean;
}

/** A time in which nothing was recorded although something was before and after. */
export interface Gap {
  readonly start: string;
  readonly end: string;
  readonly duration: number;
  readonly cause: string | null;
}

export interface StoredDetection {
  readonly captured_at: string;
  readonly class_name: string;
  readonly confidence: number;
  readonly bbox: { readonly x: number; readonly y: number; readonly width: number; readonly height: number };
}

/** Where this page gets a camera's media: the direct port where there is one, which costs the server less and survives the control process. */
export const mediaUrls = (camera: Camera): Pick<CameraUrls, 'whip' | 'whep' | 'hls'> => camera.direct_urls ?? camera.urls;

/** The WebSocket of a camera's detections, beside its WHEP address. */
export const detectionsUrl = (camera: Camera): string => {
  const url = new URL(mediaUrls(camera).whep);
  return `${url.protocol === 'https:' ? 'wss' : 'ws'}://${url.host}/v1/cameras/${camera.id}/detections/live`;
};

const request = async (path: string, init: RequestInit = {}, retry = true): Promise<Response> => {
  const headers = new Headers(init.headers);
  const token = accessToken();
  if (token) headers.set('authorization', `Bearer ${token}`);
  const response = await fetch(path, { ...init, headers });
  if (response.status === 401 && retry && (await refreshAccess(token))) return request(path, init, false);
  if (response.status === 401 && accessToken() === token) forgetTokens();
  if (!response.ok) throw await toApiError(response);
  return response;
};

const json = async <T>(path: string, method = 'GET', body?: unknown): Promise<T> => {
  const response = await request(path, body === undefined ? { method } : { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  return (response.status === 204 ? undefined : await response.json()) as T;
};

interface Page<T> { readonly items: readonly T[]; readonly next_cursor: string | null }

const all = async <T>(path: string, limit: number): Promise<readonly T[]> => {
  const items: T[] = [];
  let cursor: string | null = null;
  do {
    const page: Page<T> = await json<Page<T>>(`${path}&limit=500${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`);
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor && items.length < limit);
  return items;
};

export const api = {
  login: async (username: string, password: string): Promise<void> => {
    const response = await fetch('/v1/auth/login', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ username, password }) });
    if (!response.ok) throw await toApiError(response);
    keepTokens((await response.json()) as { access_token: string; refresh_token: string });
  },
  logout: async (): Promise<void> => {
    await json('/v1/auth/logout', 'POST', { refresh_token: refreshToken() }).catch(() => undefined);
    forgetTokens();
  },
  cameras: () => all<Camera>('/v1/cameras?', 1000),
  camera: (id: string) => json<Camera>(`/v1/cameras/${id}`),
  addCamera: (id: string, name: string) => json<Camera & { publish_key: string }>('/v1/cameras', 'POST', { id, name }),
  newPublishKey: (id: string) => json<{ key: string }>(`/v1/cameras/${id}/keys`, 'POST', { kind: 'publish' }),
  /** Those that are raised, newest first. */
  alarms: async (camera?: string): Promise<readonly Alarm[]> => (await json<Page<Alarm>>(`/v1/alarms?limit=100${camera === undefined ? '' : `&camera=${camera}`}`)).items,
  clearAlarm: (id: string) => json<undefined>(`/v1/alarms/${encodeURIComponent(id)}`, 'DELETE'),
  segments: (camera: string, from: Date, to: Date) =>
    all<Segment>(`/v1/recordings/${camera}/segments?from=${from.toISOString()}&to=${to.toISOString()}`, 20_000),
  gaps: (camera: string, from: Date, to: Date) =>
    all<Gap>(`/v1/recordings/${camera}/gaps?from=${from.toISOString()}&to=${to.toISOString()}`, 1_000),
  detections: (camera: string, from: Date, to: Date) =>
    all<StoredDetection>(`/v1/detections?camera=${camera}&from=${from.toISOString()}&to=${to.toISOString()}`, 5_000),
  playbackUrl: (camera: string, from: Date, to: Date): string =>
    `/v1/recordings/${camera}/playback?from=${from.toISOString()}&to=${to.toISOString()}&token=${encodeURIComponent(accessToken() ?? '')}`,
  /** Milliseconds the server's clock is ahead of this one, to half the round trip. */
  clockOffset: async (): Promise<number> => {
    let best = { rtt: Infinity, offset: 0 };
    for (let i = 0; i < 4; i++) {
      const sent = Date.now();
      const answer = await json<{ time?: string }>('/v1/health');
      const received = Date.now();
      if (answer.time && received - sent < best.rtt) best = { rtt: received - sent, offset: Date.parse(answer.time) - (sent + received) / 2 };
    }
    return best.offset;
  },
};
