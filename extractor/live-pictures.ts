import type { Clock } from '../core/clock.ts';
import type { CameraId } from '../core/frame-ref.ts';
import type { Milliseconds } from '../core/units.ts';
import type { Metrics } from '../platform/metrics.ts';
import { FpsGate } from './fps-gate.ts';
import { PICTURE_DEADLINE_MS, noCamera, noPicture, nobodyPublishes, notEncoded, tooLarge, tooManyKinds, tooManyStills } from './picture-errors.ts';
import type { LivePicture, PictureSource, PictureSpec } from './port.ts';
import type { FromChild, PictureStream, StillMessage } from './protocol.ts';

/** Kinds of pictures (size, format, quality, with or without boxes) a camera is watched in at a time: each costs an encoding of every picture. */
const MAX_KINDS = 8;
/** Stills of a camera asked for at a time. */
const MAX_STILLS = 32;
/** A viewer that joins others is shown their last picture at once if it is no older. */
const FRESH_MS: Milliseconds = 1_000;
const GATE_CLOCK_RATE = 1000;

/** In `imageflow_branch_dropped_total`: pictures that did not leave the extractor. */
const BRANCH = 'pictures';

interface Viewer {
  readonly fps: number;
  readonly gate: FpsGate;
  readonly listener: (picture: LivePicture) => void;
}

/** All who want the same pictures of a camera. */
interface Kind {
  readonly id: number;
  readonly key: string;
  readonly spec: PictureSpec;
  readonly viewers: Set<Viewer>;
  last: { readonly picture: LivePicture; readonly at: Milliseconds } | null;
}

interface Still {
  readonly id: number;
  readonly spec: PictureSpec;
  /** Handle of the feed it was asked of; another one is asked anew. */
  askedOf: number | null;
  readonly settle: (outcome: LivePicture | Error) => void;
}

interface CameraWants {
  readonly kinds: Map<string, Kind>;
  readonly stills: Map<number, Still>;
}

export interface LivePicturesOptions {
  readonly clock: Clock;
  readonly metrics: Pick<Metrics, 'branchDropped' | 'encodedPictures'>;
  /** Whether there is such a camera, and pictures come from it. */
  readonly phaseOf: (camera: CameraId) => 'unknown' | 'away' | 'live';
  /** What is wanted of a camera has changed. */
  readonly onChange: (camera: CameraId) => void;
}

/** What viewers want to see of which camera, and who gets the pictures that come: those who want the same share them. */
export class LivePictures implements PictureSource {
  readonly #options: LivePicturesOptions;
  readonly #cameras = new Map<CameraId, CameraWants>();
  #nextId = 0;

  constructor(options: LivePicturesOptions) {
    this.#options = options;
  }

  async still(camera: CameraId, spec: PictureSpec, signal: AbortSignal): Promise<LivePicture> {
    signal.throwIfAborted();
    const phase = this.#options.phaseOf(camera);
    if (phase === 'unknown') throw noCamera(camera);
    if (phase === 'away') throw nobodyPublishes(camera);
    const wants = this.#wantsOf(camera);
    if (wants.stills.size >= MAX_STILLS) throw tooManyStills(camera, MAX_STILLS);
    const { promise, resolve, reject } = Promise.withResolvers<LivePicture>();
    const still: Still = {
      id: this.#nextId++, spec, askedOf: null,
      settle: (outcome) => {
        if (!wants.stills.delete(still.id)) return;
        if (outcome instanceof Error) reject(outcome);
        else resolve(outcome);
        this.#changed(camera, wants);
      },
    };
    wants.stills.set(still.id, still);
    using _deadline = this.#options.clock.after(PICTURE_DEADLINE_MS, () => { still.settle(noPicture(camera)); });
    const onAbort = (): void => { still.settle(signal.reason instanceof Error ? signal.reason : new Error('aborted')); };
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      this.#options.onChange(camera);
      return await promise;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  watch(camera: CameraId, spec: PictureSpec, fps: number, listener: (picture: LivePicture) => void): Disposable {
    if (this.#options.phaseOf(camera) === 'unknown') throw noCamera(camera);
    const wants = this.#wantsOf(camera);
    const kind = this.#kindOf(camera, wants, spec);
    const viewer: Viewer = { fps, gate: new FpsGate(fps, GATE_CLOCK_RATE), listener };
    kind.viewers.add(viewer);
    if (kind.last && this.#options.clock.monotonic() - kind.last.at <= FRESH_MS) this.#show(viewer, kind.last.picture, false);
    this.#options.onChange(camera);
    return {
      [Symbol.dispose]: () => {
        if (!kind.viewers.delete(viewer)) return;
        if (kind.viewers.size === 0 && wants.kinds.get(kind.key) === kind) wants.kinds.delete(kind.key);
        this.#changed(camera, wants);
      },
    };
  }

  /** A decoder is needed for its pictures. */
  wanted(camera: CameraId): boolean {
    return this.#cameras.has(camera);
  }

  /** What a feed of the camera is to give all the time. */
  streams(camera: CameraId): readonly PictureStream[] {
    return [...this.#cameras.get(camera)?.kinds.values() ?? []].map(({ id, spec, viewers }) => ({ id, spec, fps: Math.max(...[...viewers].map(({ fps }) => fps)) }));
  }

  /** Asks a feed for the stills that it, or one before it that is gone, has not been asked for. */
  askFor(camera: CameraId, feed: { readonly handle: number; requestStill(still: Omit<StillMessage, 'handle'>): void }): void {
    for (const still of this.#cameras.get(camera)?.stills.values() ?? []) {
      if (still.askedOf === feed.handle) continue;
      still.askedOf = feed.handle;
      feed.requestStill({ id: still.id, spec: still.spec });
    }
  }

  receive(camera: CameraId, message: Extract<FromChild, { readonly type: 'picture' | 'no-still' }>): void {
    const wants = this.#cameras.get(camera);
    if (message.type === 'no-still') {
      wants?.stills.get(message.id)?.settle(message.why === 'too_large' ? tooLarge(camera) : notEncoded(camera));
      return;
    }
    const { type: _, handle: _handle, streams, stills, fresh, dropped, ...picture } = message;
    const { metrics, clock } = this.#options;
    if (fresh) metrics.encodedPictures.inc({ camera, format: picture.format });
    if (dropped > 0) metrics.branchDropped.inc({ camera, branch: BRANCH, reason: 'encoder_busy' }, dropped);
    if (!wants) return; // all who wanted it have left
    for (const kind of wants.kinds.values()) {
      if (!streams.includes(kind.id)) continue;
      kind.last = { picture, at: clock.monotonic() };
      const most = Math.max(...[...kind.viewers].map(({ fps }) => fps));
      for (const viewer of kind.viewers) this.#show(viewer, picture, viewer.fps === most);
    }
    for (const id of stills) wants.stills.get(id)?.settle(picture);
  }

  /** The camera is no more: nobody waits for its stills any longer. */
  remove(camera: CameraId): void {
    for (const still of this.#cameras.get(camera)?.stills.values() ?? []) still.settle(noCamera(camera));
    this.#cameras.delete(camera);
  }

  /** `all`: what comes was chosen at this viewer's very rate. */
  #show({ gate, listener }: Viewer, picture: LivePicture, all: boolean): void {
    if (gate.takes(picture.pts) || all) listener(picture);
  }

  #wantsOf(camera: CameraId): CameraWants {
    let wants = this.#cameras.get(camera);
    if (!wants) this.#cameras.set(camera, (wants = { kinds: new Map(), stills: new Map() }));
    return wants;
  }

  #kindOf(camera: CameraId, wants: CameraWants, spec: PictureSpec): Kind {
    const key = JSON.stringify([spec.format, spec.width, spec.height, spec.quality, spec.annotated]);
    const known = wants.kinds.get(key);
    if (known) return known;
    if (wants.kinds.size >= MAX_KINDS) throw tooManyKinds(camera, MAX_KINDS);
    const kind: Kind = { id: this.#nextId++, key, spec, viewers: new Set(), last: null };
    wants.kinds.set(key, kind);
    return kind;
  }

  #changed(camera: CameraId, wants: CameraWants): void {
    if (this.#cameras.get(camera) !== wants) return; // removed meanwhile
    if (wants.kinds.size === 0 && wants.stills.size === 0) this.#cameras.delete(camera);
    this.#options.onChange(camera);
  }
}
