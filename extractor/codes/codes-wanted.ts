import type { CameraSpec } from '../../media-control/port.ts';
import type { CodesWanted } from '../protocol.ts';

/** Codes as a process looks for them: how often one is told is the edge's own. Null: none. */
export const codesWanted = (spec: Pick<CameraSpec, 'codes'> | undefined): CodesWanted | null => (spec?.codes ? { fps: spec.codes.fps, formats: spec.codes.formats } : null);
