/** Recordings, marks and what was detected, as the pages ask for them. */
import { json, pages, request } from '../http.ts';
import type { Page } from '../http.ts';
import { accessToken } from '../session.ts';
import type { Buckets, SeenTime } from './seen.ts';

/** Gapless segments of one session. */
export interface Recording {
  readonly camera: string;
  readonly start: string;
  readonly end: string;
  readonly duration: number;
  readonly bytes: number;
  readonly open: boolean;
}

/** A time in which nothing was recorded although something was before and after. */
export interface Gap {
  readonly start: string;
  readonly end: string;
  readonly duration: number;
  readonly cause: string | null;
}

export const MARK_TEXTS = ['title', 'note', 'work_order_id', 'instruction_id', 'product_id', 'product_type', 'machine_number', 'production_date', 'inspection_id', 'inspection_result'] as const;
type MarkText = (typeof MARK_TEXTS)[number];
export type MarkKind = 'pin' | 'link' | 'clip';

/** What somebody or a policy says of a range; it outlives the rolling window. */
export interface Mark extends Readonly<Record<MarkText, string | null>> {
  readonly id: string;
  readonly camera: string;
  readonly kind: MarkKind;
  readonly from: string;
  readonly to: string;
  readonly duration: number;
  readonly archive: boolean;
  readonly tags: readonly string[];
  readonly monthly_sequence: number | null;
  readonly created_by: string | null;
}

/** Something found: a stretch that was recorded, or a marked range. */
export interface Hit extends Recording {
  /** That it was found by. */
  readonly mark: Mark | null;
  /** Of the class asked for. `at_once`: the most in one picture. `model`: of the analysis that found it; null: it was seen live. */
  readonly detections: { readonly class_name: string; readonly count: number; readonly at_once: number; readonly max_confidence: number; readonly model: string | null } | null;
}

/** Of a new mark or of a change: null takes a text away. */
export type MarkChange = Partial<Record<MarkText, string | null>> & { monthly_sequence?: number | null; tags?: readonly string[]; archive?: boolean };

const range = (from: number, to: number): string => `from=${new Date(from).toISOString()}&to=${new Date(to).toISOString()}`;

/** Times are Unix ms. */
export const recordingsApi = {
  /** What was recorded of one camera, newest first. */
  recordings: (camera: string, from: number, to: number) => pages<Recording>(`/v1/recordings?camera=${camera}&${range(from, to)}`, 2_000),
  gaps: (camera: string, from: number, to: number) => pages<Gap>(`/v1/recordings/${camera}/gaps?${range(from, to)}`, 1_000),
  seen: (camera: string, { from, to, count }: Buckets) => json<SeenTime>(`/v1/detections/timeline?camera=${camera}&${range(from, to)}&buckets=${count}`),
  playbackUrl: (camera: string, from: number, to: number): string => `/v1/recordings/${camera}/playback?${range(from, to)}&token=${encodeURIComponent(accessToken() ?? '')}`,
  /** A signed ZIP that others can check. */
  evidenceUrl: (camera: string, from: number, to: number): string => `/v1/recordings/${camera}/evidence?${range(from, to)}&token=${encodeURIComponent(accessToken() ?? '')}`,
  /** Newest first. */
  marks: (camera: string, from: number, to: number) => pages<Mark>(`/v1/recordings/${camera}/marks?${range(from, to)}`, 500),
  addMark: (camera: string, kind: MarkKind, from: number, to: number, change: MarkChange) =>
    json<Mark>(`/v1/recordings/${camera}/marks`, 'POST', { kind, from: new Date(from).toISOString(), to: new Date(to).toISOString(), ...change }),
  changeMark: (id: string, change: MarkChange) => json<Mark>(`/v1/marks/${encodeURIComponent(id)}`, 'PATCH', change),
  removeMark: (id: string) => json<undefined>(`/v1/marks/${encodeURIComponent(id)}`, 'DELETE'),
  /** One page of what `query` asks for. */
  search: (query: string, cursor: string | null, limit: number, signal: AbortSignal) =>
    json<Page<Hit>>(`/v1/recordings?${query}&limit=${limit}${cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`}`, 'GET', undefined, signal),
  /** The picture that was to be seen at `at`. */
  thumbnail: async (camera: string, at: number, width: number, signal: AbortSignal): Promise<Blob> =>
    (await request(`/v1/recordings/${camera}/thumbnail?at=${new Date(at).toISOString()}&width=${width}`, { signal })).blob(),
  /** A deletion that waits for a word. */
  heldDeletion: async () => (await json<{ held: { readonly since: string; readonly message: string } | null }>('/v1/retention')).held,
  confirmDeletion: (since: string) => json<undefined>('/v1/retention/confirm', 'POST', { since }),
};
