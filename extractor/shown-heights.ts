import { getPriority } from 'node:os';
import type { CameraId } from '../core/frame-ref.ts';
import type { Milliseconds } from '../core/units.ts';
import type { CameraSpec } from '../media-control/port.ts';
import type { ExtractorPoolOptions } from './extractor-pool-options.ts';
import { pictureSize } from './picture-size.ts';
import type { PictureSpec, ShownHeight } from './port.ts';
import type { PictureStream } from './protocol.ts';
import { CpuLoad } from './qos/cpu-load.ts';
import { DEFAULT_PRIORITY } from './qos/demand.ts';
import { ALL_FULL, decideHeights } from './qos/height-policy.ts';
import type { HeightCause, HeightChange, HeightState } from './qos/height-policy.ts';
import { heightLevel, heightsOf, presetHeight } from './qos/picture-heights.ts';
import type { ShownCamera } from './qos/picture-heights.ts';

const TICK_MS: Milliseconds = 1000;
/** Seconds in a stretch by which is judged. */
const TICKS = 3;

/** What is shown of a camera all the time. */
export interface Shown {
  /** Pixels of its pictures; null: it is not decoded now. */
  readonly source: { readonly width: number; readonly height: number } | null;
  /** Its video with boxes burned in. */
  readonly burnIn: boolean;
  /** The pictures that viewers watch, as they were asked for. */
  readonly pictures: readonly PictureStream[];
}

export interface ShownHeightsOptions extends Pick<ExtractorPoolOptions, 'clock' | 'logger' | 'metrics' | 'journal' | 'specs' | 'cpu'> {
  readonly cameras: () => Iterable<CameraId>;
  readonly shown: (camera: CameraId) => Shown;
  /** The camera's pictures are to be asked for anew. */
  readonly onChange: (camera: CameraId) => void;
}

/**
 * How large the pictures are that viewers are shown all the time, burned-in video above all: as large as the camera's setting and the viewers allow, and smaller while the
 * machine's processors have no time left [EXT-2] [EXT-3]. A single picture that is asked for is always what was asked for. Each change is told.
 */
export class ShownHeights implements Disposable {
  readonly #options: ShownHeightsOptions;
  readonly #cpu: () => number;
  readonly #timer: Disposable;
  #state: HeightState = ALL_FULL;
  /** Counted in ticks, as the governor of the rates does. */
  #now: Milliseconds = 0;
  #stretch: number[] = [];
  #settling = false;
  /** When and why each camera's step was changed last. */
  readonly #told = new Map<CameraId, { readonly at: Milliseconds; readonly cause: HeightCause }>();
  /** Cameras in the metric. */
  #metered: ReadonlySet<CameraId> = new Set();

  constructor(options: ShownHeightsOptions) {
    this.#options = options;
    const load = new CpuLoad(getPriority() > 0 ? 'busy' : 'idle'); // a server that runs `nice` itself takes no precedence over others that do
    this.#cpu = options.cpu ?? (() => load.take());
    this.#timer = options.clock.every(TICK_MS, () => { this.#tick(); });
  }

  /** The most lines of the camera's burned-in video; null: as many as the camera's own. */
  burnIn(camera: CameraId): number | null {
    return limit(Math.min(this.#presetOf(camera), this.#loweredOf(camera)));
  }

  /** These pictures as they are made now: what was asked for, bounded. */
  bounded(camera: CameraId, pictures: readonly PictureStream[]): readonly PictureStream[] {
    return pictures.map((picture) => {
      const most = limit(Math.min(this.#loweredOf(camera), isSized(picture.spec) ? Infinity : this.#presetOf(camera)));
      return most === null ? picture : { ...picture, spec: { ...picture.spec, height: Math.min(most, picture.spec.height ?? Infinity) } };
    });
  }

  /** Null: nobody is shown pictures of the camera all the time. */
  present(camera: CameraId): ShownHeight | null {
    const shown = this.#shownOf(camera);
    if (!shown) return null;
    const heights = heightsOf(shown);
    const told = this.#told.get(camera);
    return { height: heights[heightLevel(heights, this.#state.cameras.get(camera)?.lowered ?? null)] ?? shown.height, fullHeight: shown.height, since: told?.at ?? null, cause: told?.cause ?? null };
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
  }

  #presetOf(camera: CameraId): number {
    return presetHeight(this.#options.specs(camera)?.qos ?? 'auto');
  }

  #loweredOf(camera: CameraId): number {
    return this.#state.cameras.get(camera)?.lowered ?? Infinity;
  }

  /** The largest pictures that are shown of it while nothing is lowered. */
  #shownOf(camera: CameraId): ShownCamera | null {
    const spec = this.#options.specs(camera);
    const { source, burnIn, pictures } = this.#options.shown(camera);
    if (!spec || !source) return null;
    const most = limit(this.#presetOf(camera));
    const sizes = [...(burnIn ? [{ width: null, height: most }] : []), ...pictures.map(({ spec: wish }) => (isSized(wish) ? wish : { width: null, height: most }))].map((size) => pictureSize(source.width, source.height, size));
    const [largest] = sizes.toSorted((a, b) => b.height - a.height);
    return largest ? { camera, ...largest, preset: spec.qos ?? 'auto', priority: priorityOf(spec) } : null;
  }

  /** It is watched, and not decoded at the moment: its process is started again, or its publisher returns. */
  #isAway(camera: CameraId): boolean {
    const { source, burnIn, pictures } = this.#options.shown(camera);
    return source === null && (burnIn || pictures.length > 0);
  }

  #tick(): void {
    this.#now += TICK_MS;
    this.#stretch.push(this.#cpu());
    const shown = [...this.#options.cameras()].flatMap((camera) => this.#shownOf(camera) ?? []);
    if (this.#settling) this.#stretch = []; // it tells of before
    this.#settling = false;
    if (this.#stretch.length >= TICKS || shown.length === 0) this.#decide(shown);
    this.#meter(shown);
  }

  #decide(shown: readonly ShownCamera[]): void {
    const cpu = this.#stretch.reduce((sum, busy) => sum + busy, 0) / Math.max(1, this.#stretch.length);
    this.#stretch = [];
    const { state, changes } = decideHeights(this.#state, shown, cpu, this.#now, (camera) => this.#isAway(camera));
    this.#state = state;
    for (const camera of this.#told.keys()) if (!state.cameras.has(camera)) this.#told.delete(camera);
    this.#settling = changes.length > 0;
    for (const change of changes) this.#tell(change);
  }

  #tell({ camera, from, to, full, cause }: HeightChange): void {
    const { clock, logger, metrics, journal, onChange } = this.#options;
    const at = clock.now();
    this.#told.set(camera, { at, cause });
    logger.info({ camera, from, to, full, cause }, 'height of shown pictures changed');
    metrics.qosHeightChanges.inc({ camera, cause });
    journal.append({ type: 'height-changed', change: { camera, at, from, to, full, cause } }, 'later');
    onChange(camera);
  }

  #meter(shown: readonly ShownCamera[]): void {
    const { qosHeight } = this.#options.metrics;
    const now = new Set(shown.map(({ camera }) => camera));
    for (const camera of this.#metered) if (!now.has(camera)) qosHeight.remove({ camera });
    for (const camera of now) qosHeight.set({ camera }, this.present(camera)?.height ?? 0);
    this.#metered = now;
  }
}

const limit = (height: number): number | null => (height === Infinity ? null : height);

const isSized = ({ width, height }: Pick<PictureSpec, 'width' | 'height'>): boolean => width !== null || height !== null;

const priorityOf = ({ priority }: CameraSpec): number => priority ?? DEFAULT_PRIORITY;
