import type { Milliseconds } from '../core/units.ts';
import type { ResultMessage } from './protocol.ts';

/** Of a detector that runs, over its last results. */
export interface DetectorFigures {
  readonly model: string;
  /** Results a second. */
  readonly fps: number;
  /** Milliseconds of a picture: waiting to be sent, at the worker before its turn, in the model, and from decoding to the result. */
  readonly queueMs: number;
  readonly waitMs: number;
  readonly modelMs: number;
  readonly totalMs: number;
}

/** Results are counted over stretches of this length. */
const STRETCH_MS: Milliseconds = 2_000;
/** A detector without a result for so long does not run. */
const SILENT_MS: Milliseconds = 10_000;
/** Weight of a new result in the averages. */
const NEW = 0.1;

interface Running {
  model: string;
  begun: Milliseconds;
  count: number;
  /** Of the stretch before; null: this is the first. */
  fps: number | null;
  heard: Milliseconds;
  timings: Omit<ResultMessage['timings'], 'shareMs'>;
}

const mixed = (before: number, now: number): number => before + (now - before) * NEW;

/** How a camera's detectors run, by what comes from them. Times are those of one clock. */
export class DetectorMeter {
  readonly #detectors = new Map<string, Running>();

  add({ detector, result: { model }, timings }: Pick<ResultMessage, 'detector' | 'timings'> & { readonly result: { readonly model: string } }, now: Milliseconds): void {
    const known = this.#detectors.get(detector);
    if (known?.model !== model || now - known.heard > SILENT_MS) {
      this.#detectors.set(detector, { model, begun: now, count: 0, fps: null, heard: now, timings });
      return;
    }
    known.heard = now;
    known.count++;
    known.timings = {
      queueMs: mixed(known.timings.queueMs, timings.queueMs), waitMs: mixed(known.timings.waitMs, timings.waitMs),
      inferenceMs: mixed(known.timings.inferenceMs, timings.inferenceMs), totalMs: mixed(known.timings.totalMs, timings.totalMs),
    };
    if (now - known.begun < STRETCH_MS) return;
    known.fps = (known.count * 1000) / (now - known.begun);
    known.begun = now;
    known.count = 0;
  }

  /** By detector. */
  figures(now: Milliseconds): Readonly<Record<string, DetectorFigures>> {
    return Object.fromEntries([...this.#detectors].filter(([, { heard }]) => now - heard <= SILENT_MS).map(([detector, running]) => {
      const { model, begun, count, fps, timings: { queueMs, waitMs, inferenceMs: modelMs, totalMs } } = running;
      const stretch = now - begun;
      const soFar = stretch > 0 ? (count * 1000) / stretch : 0;
      return [detector, { model, fps: fps === null || stretch > STRETCH_MS ? soFar : fps, queueMs, waitMs, modelMs, totalMs }];
    }));
  }
}
