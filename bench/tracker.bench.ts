import { join } from 'node:path';
import { iou } from '../core/detection.ts';
import type { Detection } from '../core/detection.ts';
import { FAINT_CONFIDENCE } from '../extractor/tracking/camera-tracks.ts';
import { Tracker } from '../extractor/tracking/tracker.ts';
import type { Observation } from '../extractor/tracking/tracker.ts';
import { detectClip } from '../test/support/clip-detections.ts';
import { InspectionTruth, MIN_IOU } from '../test/support/inspection-truth.ts';
import { seededRandom } from '../test/support/random.ts';
import type { Bench, Figure } from './support/bench.ts';
import { quantile, round } from './support/bench.ts';
import { trackingQuality } from './support/tracking-quality.ts';
import type { TrackedObject, TrackedPicture, TrackingQuality } from './support/tracking-quality.ts';

const CLIP = join(import.meta.dirname, '..', 'demo', 'clips', 'inspection-720p30.mp4');
const CLIP_FPS = 30;
const MODEL = 'inspect-320';
/** The model's own, and one at which it sees much that is not there. */
const CONFIDENCES = [0.4, 0.25];
const COST_PICTURES = 3000;
const WARM_UP_PICTURES = 500;

const counter = (): (() => number) => {
  let last = 0;
  return () => ++last;
};

/** The clip at so many pictures a second, tracked as live. */
const track = (seen: readonly (readonly Detection[])[], fps: number, confidence: number): TrackedPicture[] => {
  const truth = new InspectionTruth();
  const tracker = new Tracker(counter());
  const pictures: TrackedPicture[] = [];
  for (let i = 0; i < seen.length; i += CLIP_FPS / fps) {
    const boxes = seen[i] ?? [];
    const detected = boxes.filter((each) => each.confidence >= confidence);
    const ids = tracker.update((i * 1000) / CLIP_FPS, detected, boxes.filter((each) => each.confidence < confidence));
    pictures.push({
      truth: truth.objects(i),
      tracked: detected.map(({ classId, bbox }, each): TrackedObject => ({ id: ids[each] ?? 0, classId, bbox })),
    });
  }
  return pictures;
};

/** The same boxes with the ids that their objects have: what a tracker could reach at most. */
const trueTracks = (pictures: readonly TrackedPicture[]): TrackedPicture[] => {
  let others = 1000; // above the ids of the truth
  const nextOther = (): number => ++others;
  return pictures.map(({ truth, tracked }) => {
    const free = new Set(truth);
    return {
      truth,
      tracked: tracked.map((box) => {
        const object = [...free].find((each) => each.classId === box.classId && iou(each.bbox, box.bbox) >= MIN_IOU);
        if (object) free.delete(object);
        return { ...box, id: object?.id ?? nextOther() };
      }),
    };
  });
};

const qualityFigures = (fps: number, confidence: number, most: number, { mota, idf1, kept, switches, misses, falsePositives, objects }: TrackingQuality): Figure[] => {
  const where = `${fps} fps, confidence ${confidence}`;
  return [
    { figure: `IDF1 at ${where}`, value: round(idf1, 3), unit: `(with true ids the same boxes have ${round(most, 3)})` },
    { figure: `pictures in which a defect bears its own id, at ${where}`, value: round(100 * kept, 1), unit: '%' },
    { figure: `MOTA at ${where}`, value: round(mota, 3), unit: `(${switches} switches, ${misses} misses and ${falsePositives} false positives of the detector, ${objects} objects)` },
  ];
};

/** Microseconds for a picture of so many objects that move about and are missed now and then. */
const cost = (objects: number): readonly number[] => {
  const random = seededRandom(1);
  const moving = Array.from({ length: objects }, () => ({ x: random() * 1800, y: random() * 1000, dx: random() * 12 - 6, dy: random() * 12 - 6, width: 30 + random() * 60, height: 30 + random() * 60 }));
  const tracker = new Tracker(counter());
  const took: number[] = [];
  for (let i = 0; i < COST_PICTURES; i++) {
    const detected: Observation[] = [];
    const faint: Observation[] = [];
    for (const each of moving) {
      each.x += each.dx;
      each.y += each.dy;
      if (each.x < 0 || each.x > 1800) each.dx = -each.dx;
      if (each.y < 0 || each.y > 1000) each.dy = -each.dy;
      const chance = random();
      const box = { classId: 0, confidence: chance, bbox: { x: each.x + random() * 4, y: each.y + random() * 4, width: each.width, height: each.height } };
      if (chance > 0.1) detected.push(box);
      else if (chance > 0.03) faint.push(box);
    }
    const began = performance.now();
    tracker.update((i * 1000) / 15, detected, faint);
    took.push((performance.now() - began) * 1000);
  }
  return took.slice(WARM_UP_PICTURES);
};

export const bench: Bench = {
  what: `the tracker on what ${MODEL} sees in the inspection clip (MOTA and IDF1 against its truth, boxes that overlap by ${MIN_IOU}), and what it costs a picture`,
  async run() {
    const seen = await detectClip(CLIP, MODEL, FAINT_CONFIDENCE);
    const quality = CONFIDENCES.flatMap((confidence) => [5, 15, 30].flatMap((fps) => {
      const pictures = track(seen, fps, confidence);
      return qualityFigures(fps, confidence, trackingQuality(trueTracks(pictures), MIN_IOU).idf1, trackingQuality(pictures, MIN_IOU));
    }));
    const costs = [20, 100].flatMap((objects): Figure[] => {
      const took = cost(objects);
      return [
        { figure: `a picture with ${objects} objects, p50`, value: round(quantile(took, 0.5), 0), unit: 'µs' },
        { figure: `a picture with ${objects} objects, p90`, value: round(quantile(took, 0.9), 0), unit: 'µs' },
      ];
    });
    return [...quality, ...costs];
  },
};
