import type { Frame } from 'node-av/lib';
import type { Clock } from '../../core/clock.ts';
import type { Detection, DetectionResult } from '../../core/detection.ts';
import { messageOf } from '../../core/errors.ts';
import type { CameraId, FrameRef } from '../../core/frame-ref.ts';
import type { MediaTicks, Milliseconds } from '../../core/units.ts';
import type { FrameDispatcher, ModelInfo } from '../../inference/port.ts';
import type { Logger } from '../../platform/logging.ts';
import type { BlackBox } from '../black-box.ts';
import { FpsGate } from '../fps-gate.ts';
import type { SkipReason } from '../port.ts';
import { SceneFilter } from '../scene/scene-filter.ts';
import { CameraTracks, FAINT_CONFIDENCE } from '../tracking/camera-tracks.ts';
import { MAX_REFUSED_MODELS } from '../protocol.ts';
import type { AccessUnitMessage, BurnInStatsMessage, CameraMessage, CodeStatsMessage, PictureStream, StatsMessage, StillMessage } from '../protocol.ts';
import { AnnotatedFrames } from './annotated-frames.ts';
import { BurnIn } from './burn-in.ts';
import type { BurnInOptions } from './burn-in.ts';
import { CameraDecoder } from './camera-decoder.ts';
import type { DecoderSource } from './camera-decoder.ts';
import { CameraPictures } from './camera-pictures.ts';
import type { CameraPicturesOptions, PictureMeta } from './camera-pictures.ts';
import { CodePictures } from './code-pictures.ts';
import type { CodePicturesOptions } from './code-pictures.ts';
import { Scaler } from './scaler.ts';

export interface CameraExtractionOptions {
  readonly dispatcher: FrameDispatcher;
  readonly blackBox: Pick<BlackBox, 'enter' | 'leave'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly decoders: DecoderSource;
  /** A decoder was made or ended, or decodes on another device: the edge wants to know now. */
  readonly onDecoderChange: () => void;
  readonly lane: CameraPicturesOptions['lane'];
  readonly sendPicture: CameraPicturesOptions['send'];
  readonly sendNoStill: CameraPicturesOptions['sendNoStill'];
  /** Of the video with boxes burned in. */
  readonly burnIn: Pick<BurnInOptions, 'encoders' | 'hasRoom' | 'send' | 'onEncoderChange'>;
  readonly codes: Pick<CodePicturesOptions, 'reader' | 'send'>;
}

type DetectorMessage = CameraMessage['detectors'][number];

interface Detector {
  readonly spec: DetectorMessage;
  readonly gate: FpsGate;
  /** Null: all objects are drawn. */
  readonly filter: SceneFilter | null;
}

/** A detector that is to see a picture; `refresh`: in the place of an older one that waits, out of its turn. */
interface Wanted {
  readonly spec: DetectorMessage;
  readonly refresh: boolean;
}

/** What is remembered of an access unit until its picture comes out. */
interface Meta {
  readonly index: number;
  readonly frame: FrameRef;
  readonly pts: MediaTicks;
  readonly wall: Milliseconds;
  readonly decodeOnly: boolean;
}

/** Whether a detector's turn had come, null: none could; and which were offered the picture, which none may still get when its worker has no room for it. */
interface Offered {
  readonly detected: boolean | null;
  readonly offered: readonly string[];
}

/**
 * What waits for its worker for longer is taken the place of by the camera's next picture, out of turn. Each has to be scaled: not more often than a few times for each picture
 * that is looked at, or overload would cost what lower rates give.
 */
const FRESH_MS: Milliseconds = 60;
const FRESH_SHARE = 0.25;

/** H.264 holds back at most 16 pictures (ITU-T H.264 A.3.1: MaxDpbFrames); older notes are overwritten. */
const REMEMBERED = 64;

/** One camera in the extractor: one decoder, whatever the number of detectors and viewers of pictures; one scaling per distinct input size. */
export class CameraExtraction implements Disposable {
  readonly camera: CameraId;
  readonly #handle: number;
  readonly #options: CameraExtractionOptions;
  readonly #tracks: CameraTracks;
  #message: CameraMessage;
  #detectors: readonly Detector[] = [];
  readonly #decoder: CameraDecoder;
  readonly #scalers = new Map<string, Scaler>();
  readonly #pictures: CameraPictures;
  /** Those with boxes drawn in, the video that has them burned in, and what pictures wait in for their boxes. */
  readonly #annotated: CameraPictures;
  readonly #burnIn: BurnIn;
  readonly #frames: AnnotatedFrames;
  readonly #codes: CodePictures;
  readonly #metas: (Meta | undefined)[] = Array.from({ length: REMEMBERED }, () => undefined);
  #index = 0;
  #epoch: number | null = null;
  #awaitingRandomAccess = true;
  #decoded = 0;
  #skipped = new Map<SkipReason, number>();
  #refusedModels = new Set<string>();
  /** Pictures offered to detectors since the last flush. */
  #offered = 0;
  #guarding = false;
  /** The message of the last decoder error: a broken stream is logged once, not 30 times a second. */
  #lastError = '';

  constructor(message: CameraMessage, options: CameraExtractionOptions) {
    this.camera = message.camera;
    this.#handle = message.handle;
    this.#message = message;
    this.#options = options;
    this.#tracks = new CameraTracks(message.lastTrack);
    this.#decoder = new CameraDecoder({ camera: message.camera, source: options.decoders, clock: options.clock, logger: options.logger, onChange: options.onDecoderChange });
    const pictures: CameraPicturesOptions = {
      handle: message.handle, lane: options.lane, guarded: (work) => { this.#guarded(work); }, send: options.sendPicture, sendNoStill: options.sendNoStill, logger: options.logger,
    };
    this.#pictures = new CameraPictures(pictures);
    this.#annotated = new CameraPictures(pictures);
    this.#burnIn = new BurnIn({ ...options.burnIn, handle: message.handle, camera: message.camera, guarded: pictures.guarded, clock: options.clock, logger: options.logger });
    this.#frames = new AnnotatedFrames({ clock: options.clock, deliver: (picture, meta) => { this.#guarded(() => { this.#showAnnotated(picture, meta); }); } });
    this.#codes = new CodePictures({ ...options.codes, handle: message.handle, logger: options.logger });
    this.#setDetectors(message);
  }

  /** Other pictures are wanted of it from now on. */
  setPictures(streams: readonly PictureStream[]): void {
    this.#guarded(() => {
      this.#pictures.setStreams(streams.filter(({ spec }) => !spec.annotated));
      this.#annotated.setStreams(streams.filter(({ spec }) => spec.annotated));
    });
  }

  /** The newest picture is wanted. */
  still({ id, spec }: StillMessage): void {
    this.#guarded(() => { (spec.annotated ? this.#annotated : this.#pictures).still(id, spec); });
  }

  /** Its video with boxes burned in is wanted, or not; of so many lines at most, null: of its own. */
  setBurnIn(on: boolean, maxHeight: number | null): void {
    this.#guarded(() => { this.#burnIn.set(on, maxHeight); });
  }

  /** The next picture with boxes burned in is to be random access. */
  requestKeyframe(): void {
    this.#burnIn.requestKeyframe();
  }

  /** What became of pictures to be burned in since the last call; null: nothing. */
  takeBurnInStats(): BurnInStatsMessage | null {
    return this.#burnIn.takeStats();
  }

  /** In which pictures codes were looked for since the last call, and in which not; null: in none. */
  takeCodeStats(): CodeStatsMessage | null {
    return this.#codes.takeStats();
  }

  /** Other detectors, other codes, or other parameters of the codec. */
  update(message: CameraMessage): void {
    if (JSON.stringify(message.codec) !== JSON.stringify(this.#message.codec)) {
      this.#decoder.end();
      this.#awaitingRandomAccess = true;
    }
    this.#message = message;
    this.#setDetectors(message);
  }

  accept(unit: AccessUnitMessage): void {
    if (unit.frame.epoch !== this.#epoch) this.#beginEpoch(unit.frame.epoch);
    if (this.#awaitingRandomAccess && !unit.randomAccess) {
      this.skip('decoder_restart');
      return;
    }
    const index = this.#index++;
    this.#metas[index % REMEMBERED] = { index, frame: { ...unit.frame, stream: this.camera }, pts: unit.pts, wall: unit.wall, decodeOnly: unit.decodeOnly };
    this.#guarded(() => {
      try {
        this.#awaitingRandomAccess = false;
        this.#decoder.decode(this.#message.codec, unit.data, index, unit.randomAccess, this.#onFrame);
      } catch (error) {
        this.#fail(messageOf(error));
      }
    });
  }

  /** Gives out what the decoder holds back. What comes next begins anew. How many pictures were offered since the last time. */
  flush(): number {
    this.#guarded(() => {
      try {
        this.#decoder.drain(this.#onFrame);
      } catch (error) {
        this.#fail(messageOf(error));
      }
    });
    this.#awaitingRandomAccess = true;
    for (const { gate } of this.#detectors) gate.reset();
    this.#codes.forget();
    const offered = this.#offered;
    this.#offered = 0;
    return offered;
  }

  /** A detector's result, with the ids of its tracks. `faint`: what it saw too faintly to be part of it. */
  track(detector: string, result: DetectionResult, faint: readonly Detection[]): DetectionResult {
    return this.#detectors.some(({ spec }) => spec.id === detector && spec.tracking) ? this.#tracks.follow(detector, result, faint) : result;
  }

  /** What `track` made of a result is known, so pictures that waited for it go on. */
  annotate(detector: string, result: DetectionResult): void {
    const running = this.#detectors.find(({ spec }) => spec.id === detector);
    if (running) this.#frames.onResult(detector, running.filter?.apply(result) ?? result); // else it is no more
  }

  /** `model`: that a detector asked for. */
  skip(reason: SkipReason, model?: string): void {
    if (reason === 'refused' && model !== undefined && this.#refusedModels.size < MAX_REFUSED_MODELS) this.#refusedModels.add(model);
    this.#skipped.set(reason, (this.#skipped.get(reason) ?? 0) + 1);
  }

  /** What happened since the last call. */
  takeStats(): StatsMessage {
    const decoder = this.#decoder.name;
    const stats: StatsMessage = {
      handle: this.#handle,
      decodersActive: decoder === null ? 0 : 1,
      decodedFrames: this.#decoded,
      decoder,
      failedDevices: [...this.#decoder.takeFailed(), ...this.#burnIn.takeFailed()],
      skipped: Object.fromEntries(this.#skipped),
      refusedModels: [...this.#refusedModels],
      awaitingRandomAccess: this.#awaitingRandomAccess && this.#epoch !== null,
    };
    this.#decoded = 0;
    this.#skipped = new Map();
    this.#refusedModels = new Set();
    return stats;
  }

  [Symbol.dispose](): void {
    this.#decoder[Symbol.dispose]();
    this.#codes[Symbol.dispose]();
    this.#frames[Symbol.dispose]();
    this.#burnIn[Symbol.dispose]();
    this.#annotated[Symbol.dispose]();
    this.#pictures[Symbol.dispose]();
    for (const scaler of this.#scalers.values()) scaler[Symbol.dispose]();
    this.#scalers.clear();
    this.#options.dispatcher.forget(this.camera);
  }

  #setDetectors(message: CameraMessage): void {
    this.#codes.set(message.codes, message.clockRate);
    this.#tracks.keep(message.detectors.filter(({ tracking }) => tracking).map(({ id }) => id));
    const before = new Map(this.#detectors.map((detector) => [detector.spec.id, detector]));
    this.#detectors = message.detectors.map((spec) => {
      const same = before.get(spec.id);
      return { spec, gate: same?.spec.fps === spec.fps ? same.gate : new FpsGate(spec.fps, message.clockRate), filter: spec.shown ? new SceneFilter(spec.shown) : null };
    });
  }

  #beginEpoch(epoch: number): void {
    this.#epoch = epoch;
    this.#awaitingRandomAccess = true;
    this.#decoder.reset();
    this.#pictures.forget();
    this.#annotated.forget();
    this.#burnIn.forget(this.#frames.forget());
    for (const { gate } of this.#detectors) gate.reset();
    this.#codes.forget();
  }

  /** Native code at work on this camera's pictures; one such piece of work may be part of another. */
  #guarded(work: () => void): void {
    if (this.#guarding) {
      work();
      return;
    }
    this.#guarding = true;
    this.#options.blackBox.enter(this.#handle);
    try {
      work();
    } finally {
      this.#options.blackBox.leave();
      this.#guarding = false;
    }
  }

  #fail(why: string): void {
    this.skip('decoder_error');
    this.#awaitingRandomAccess = true;
    this.#decoder.reset();
    if (this.#decoder.name === null) this.#options.onDecoderChange(); // its device failed: a random access picture is asked for at once
    if (why === this.#lastError) return;
    this.#lastError = why;
    this.#options.logger.warn({ camera: this.camera, error: why }, 'picture could not be decoded');
  }

  readonly #onFrame = (frame: Frame, index: number): void => {
    this.#decoded++;
    const meta = this.#metas[index % REMEMBERED];
    if (meta?.index !== index) {
      this.skip('decoder_error');
      return;
    }
    const { detected, offered } = this.#offer(frame, meta);
    this.#codes.take(frame, meta);
    const picture: PictureMeta = { index, frame: meta.frame, wall: meta.wall, pts: (meta.pts * 1000) / this.#message.clockRate, late: meta.decodeOnly, detected };
    if (!this.#pictures.wanted) this.#pictures.forget();
    else this.#pictures.take(frame, picture);
    if (!this.#annotated.wanted) this.#annotated.forget();
    if (this.#annotated.wanted || this.#burnIn.wanted) this.#frames.take(frame, picture, offered);
    else this.#frames.forget();
  };

  #showAnnotated(picture: Frame, meta: PictureMeta): void {
    if (this.#annotated.wanted) this.#annotated.take(picture, meta);
    this.#burnIn.take(picture, meta);
  }

  #offer(frame: Frame, meta: Meta): Offered {
    if (this.#detectors.length === 0) return { detected: null, offered: [] };
    if (!meta.decodeOnly) return this.#detect(frame, meta);
    this.skip('late');
    return { detected: null, offered: [] };
  }

  #detect(frame: Frame, meta: Meta): Offered {
    let detected = false;
    const wanted = new Map<string, { readonly model: ModelInfo; readonly specs: Wanted[] }>();
    for (const { spec, gate } of this.#detectors) {
      const due = gate.takes(meta.pts);
      if (!due && this.#options.dispatcher.waitsFor(this.camera, spec.id) <= Math.max(FRESH_MS, FRESH_SHARE * (1000 / spec.fps))) {
        this.skip('fps');
        continue;
      }
      detected = true;
      const model = this.#options.dispatcher.model(spec.model);
      if (!model) {
        this.skip('worker_lost');
        continue;
      }
      const key = `${model.inputWidth}x${model.inputHeight}`;
      const group = wanted.get(key);
      const by = { spec, refresh: !due };
      if (group) group.specs.push(by);
      else wanted.set(key, { model, specs: [by] });
    }
    for (const [key, { model, specs }] of wanted) this.#deliver(frame, meta, key, model, specs);
    return { detected, offered: [...wanted.values()].flatMap(({ specs }) => specs.map(({ spec }) => spec.id)) };
  }

  #deliver(frame: Frame, meta: Meta, key: string, model: ModelInfo, specs: readonly Wanted[]): void {
    let scaler = this.#scalers.get(key);
    if (!scaler) this.#scalers.set(key, (scaler = new Scaler(model.inputWidth, model.inputHeight)));
    for (const [i, pixels] of scaler.scale(frame, specs.length).entries()) {
      const by = specs[i];
      if (!by) continue;
      const { spec, refresh } = by;
      this.#offered++;
      this.#options.dispatcher.offer({
        camera: this.camera,
        detector: spec.id,
        model: spec.model,
        confidence: spec.confidence,
        faintConfidence: spec.tracking ? FAINT_CONFIDENCE : null,
        frame: meta.frame,
        capturedAt: meta.wall,
        sourceWidth: frame.width,
        sourceHeight: frame.height,
        pixels,
        refresh,
      });
    }
  }
}
