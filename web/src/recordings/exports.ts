/** Exports with boxes drawn in: jobs of the server that make one file each. */
import { json } from '../http.ts';
import type { Page } from '../http.ts';
import { accessToken } from '../session.ts';

export interface BoxExport {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly state: 'queued' | 'running' | 'done' | 'failed' | 'cancelled';
  /** 0..1 */
  readonly progress: number;
  readonly pictures: number;
  readonly undecodable: number;
  readonly missing_segments: number;
  readonly boxes: number;
  readonly bytes: number | null;
  readonly error: string | null;
}

const SHOWN = 20;

/** Times are Unix ms. */
export const exportsApi = {
  /** A camera's newest. */
  list: async (camera: string): Promise<readonly BoxExport[]> => (await json<Page<BoxExport>>(`/v1/exports?camera=${camera}&limit=${SHOWN}`)).items,
  add: (camera: string, from: number, to: number) => json<BoxExport>(`/v1/recordings/${camera}/exports`, 'POST', { from: new Date(from).toISOString(), to: new Date(to).toISOString() }),
  /** Ends one that is not done; deletes one that has ended. */
  remove: (id: string) => json<undefined>(`/v1/exports/${encodeURIComponent(id)}`, 'DELETE'),
  fileUrl: (id: string): string => `/v1/exports/${encodeURIComponent(id)}/file?token=${encodeURIComponent(accessToken() ?? '')}`,
};

export const isOpen = ({ state }: BoxExport): boolean => state === 'queued' || state === 'running';

/** How it stands, in words. */
export const stateWords = (job: BoxExport): string => {
  switch (job.state) {
    case 'queued': return 'waits for its turn';
    case 'running': return `${Math.floor(job.progress * 100)} %`;
    case 'cancelled': return 'cancelled';
    case 'failed': return job.error ?? 'failed';
    case 'done': {
      const lost = [job.undecodable > 0 ? `pictures that could not be decoded: ${job.undecodable}` : '', job.missing_segments > 0 ? `segments deleted meanwhile: ${job.missing_segments}` : ''].filter((each) => each !== '');
      return [`${job.boxes} boxes, ${((job.bytes ?? 0) / 1e6).toFixed(1)} MB`, ...lost].join('; ');
    }
  }
};
