import type { DrawnBox } from '../../core/drawing/drawn-box.ts';
import type { Milliseconds } from '../../core/units.ts';
import { pictureKey } from '../../recorder/port.ts';
import type { RangeRun } from '../../recorder/port.ts';
import type { DetectionRow, DetectionService } from '../detections/service.ts';

/** A live picture has its own wall clock, a recorded one that of its part: so much apart at most. */
const CLOCKS_APART: Milliseconds = 2_000;
const PAGE = 1_000;
/** More than so many in one picture are not drawn: nothing of it would be seen. */
const MOST_IN_PICTURE = 500;
const LONGEST_NAME = 256;
const LONGEST_TRACK = 32;

/** What was detected in the pictures of a run, by the picture's identity; of `analysis`, or live. */
export const boxesOfRun = async (detections: DetectionService, camera: string, analysis: string | null, run: RangeRun): Promise<ReadonlyMap<string, readonly DrawnBox[]>> => {
  const boxes = new Map<string, DrawnBox[]>();
  const walls = run.pictures.flatMap(({ at, wall }) => (at === null ? [] : [wall]));
  if (walls.length === 0) return boxes;
  const [from, to] = [walls.reduce((a, b) => Math.min(a, b)) - CLOCKS_APART, walls.reduce((a, b) => Math.max(a, b)) + CLOCKS_APART];
  const filter = { camera, from, to, ...(analysis === null ? {} : { analysis }) };
  for (let after: readonly [number, number] | undefined, full = true; full;) {
    const rows: DetectionRow[] = await detections.list(filter, 'asc', after, PAGE);
    for (const row of rows) {
      const key = pictureKey(row.stream_epoch, row.rtp_timestamp);
      const known = boxes.get(key) ?? [];
      if (known.length < MOST_IN_PICTURE) known.push(toBox(row));
      boxes.set(key, known);
    }
    const last = rows.at(-1);
    full = rows.length === PAGE && last !== undefined;
    if (last) after = [last.captured_at_ms, last.id];
  }
  return boxes;
};

const bounded = (pixels: number): number => Math.max(-65_536, Math.min(65_536, pixels));

const toBox = (row: DetectionRow): DrawnBox => ({
  className: row.class_name.slice(0, LONGEST_NAME), classId: row.class_id, confidence: Math.max(0, Math.min(1, row.confidence)), trackId: row.track_id?.slice(0, LONGEST_TRACK) ?? null, x: bounded(row.x), y: bounded(row.y), width: bounded(row.width), height: bounded(row.height),
});
