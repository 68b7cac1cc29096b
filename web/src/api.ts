/** The REST API as the pages use it (contract 0.3–0.5); what is about recordings is in `recordings/api.ts`. */
import { toApiError } from './api-error.ts';
import { json, pages, request } from './http.ts';
import type { Page } from './http.ts';
import type { ShownHeight } from './live/height-words.ts';
import type { DetectionRate } from './live/rate-words.ts';
import type { Pipeline } from './scene/draft.ts';
import { forgetTokens, keepTokens, refreshToken } from './session.ts';

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

/** How a camera is recorded. */
export interface CameraRecording {
  readonly policy: string;
  /** Minutes kept, where the camera has a window of its own. */
  readonly window_minutes?: number;
  readonly max_bytes?: number;
  readonly hours?: { readonly timezone: string; readonly times: readonly { readonly days: readonly string[]; readonly from: string; readonly to: string }[] };
  /** By hand; counts more than policy and hours. */
  readonly switched?: 'on' | 'off';
}

export interface Camera {
  readonly id: string;
  readonly name: string;
  readonly urls: CameraUrls;
  /** The same media straight from the edge's port; null behind a proxy. */
  readonly direct_urls?: Pick<CameraUrls, 'whip' | 'whep' | 'hls'> | null;
  readonly pipelines: readonly Pipeline[];
  readonly recording: CameraRecording;
  /** Which codes are read in its pictures; null: none. */
  readonly codes: CodesSetting | null;
  /** Whether it is shown live. */
  readonly distribution: { readonly state: 'on' | 'off' };
  readonly session?: CameraSession | null;
  /** The edge's figures while there is a session. */
  readonly stats?: { readonly video_codec?: string | null; readonly audio_codec?: string | null; readonly last_code?: SeenCode | null; readonly detection?: { readonly decoder?: string | null; readonly qos?: DetectionRate | null; readonly shown?: ShownHeight | null; readonly detectors?: readonly RunningDetector[] } | null } | null;
}

export interface CodesSetting {
  readonly fps: number;
  readonly formats: readonly string[];
  readonly repeat_seconds: number;
}

/** The code that a camera has shown last. */
export interface SeenCode {
  readonly format: string;
  /** Null: it holds no text. */
  readonly text: string | null;
  readonly at: string;
}

/** A detector of a camera that runs; times are milliseconds of a picture. */
export interface RunningDetector {
  readonly id: string;
  readonly model: string;
  readonly fps: number;
  readonly queue_ms: number;
  readonly wait_ms: number;
  readonly model_ms: number;
  readonly total_ms: number;
}

/** What a rule of a camera's scene said. */
export interface RuleEvent {
  readonly event_type: 'rule_began' | 'rule_ended' | 'rule_happened';
  readonly event_id: string;
  readonly from: string;
  readonly to: string;
  readonly rule: {
    readonly occurrence_id: string;
    readonly id: string;
    readonly zone: string | null;
    readonly line: string | null;
    readonly direction: 'to_left' | 'to_right' | null;
    readonly count: number;
    readonly class_names: readonly string[];
  };
}

/** What needs an operator. */
export interface Alarm {
  readonly id: string;
  readonly camera: string | null;
  readonly code: string;
  readonly message: string;
  readonly at: string;
}

/** Where this page gets a camera's media: the direct port where there is one, which costs the server less and survives the control process. */
export const mediaUrls = (camera: Camera): Pick<CameraUrls, 'whip' | 'whep' | 'hls'> => camera.direct_urls ?? camera.urls;

/** The WebSocket of a camera's detections, beside its WHEP address. */
export const detectionsUrl = (camera: Camera): string => {
  const url = new URL(mediaUrls(camera).whep);
  return `${url.protocol === 'https:' ? 'wss' : 'ws'}://${url.host}/v1/cameras/${camera.id}/detections/live`;
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
  cameras: async () => (await pages<Camera>('/v1/cameras?', 1000)).items,
  camera: (id: string) => json<Camera>(`/v1/cameras/${id}`),
  addCamera: (id: string, name: string) => json<Camera & { publish_key: string }>('/v1/cameras', 'POST', { id, name }),
  newPublishKey: (id: string) => json<{ key: string }>(`/v1/cameras/${id}/keys`, 'POST', { kind: 'publish' }),
  /** Those that are raised, newest first. */
  alarms: async (camera?: string): Promise<readonly Alarm[]> => (await json<Page<Alarm>>(`/v1/alarms?limit=100${camera === undefined ? '' : `&camera=${camera}`}`)).items,
  setPipelines: (id: string, pipelines: readonly Pipeline[]) => json<Camera>(`/v1/cameras/${id}`, 'PATCH', { pipelines }),
  /** Null: none; of what is left out the server's defaults. */
  setCodes: (id: string, codes: Partial<CodesSetting> | null) => json<Camera>(`/v1/cameras/${id}`, 'PATCH', { codes }),
  /** What the camera sees now, JPEG. */
  snapshot: async (id: string, width: number, signal: AbortSignal): Promise<Blob> => (await request(`/v1/cameras/${id}/snapshot?width=${String(width)}`, { signal })).blob(),
  switchRecording: (id: string, to: 'start' | 'stop') => json<CameraRecording>(`/v1/cameras/${id}/recording/${to}`, 'POST'),
  switchDistribution: (id: string, to: 'start' | 'stop') => json<Camera['distribution']>(`/v1/cameras/${id}/distribution/${to}`, 'POST'),
  clearAlarm: (id: string) => json<undefined>(`/v1/alarms/${encodeURIComponent(id)}`, 'DELETE'),
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
