import type { Duplex } from 'node:stream';
import { FFmpegError, Frame } from 'node-av/lib';
import { readStill } from '../../core/codec/still/read-still.ts';
import type { StillPicture } from '../../core/codec/still/still-picture.ts';
import type { Clock } from '../../core/clock.ts';
import type { Detection } from '../../core/detection.ts';
import { MediaError, invariant, messageOf } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { DispatchListener, DispatchSkip, FrameDispatcher, ModelDirectory, ModelInfo, PixelLease } from '../../inference/port.ts';
import type { Logger } from '../../platform/logging.ts';
import { MAX_SENT_PICTURE_BYTES } from '../port.ts';
import type { AnnotatedPicture } from '../port.ts';
import { MessageReader } from '../message-reader.ts';
import { decodeToDecoder, encodeAnswer, encodeReady } from '../sent-picture-protocol.ts';
import type { SentPictureAnswer, SentPictureHello, SentPictureRequest } from '../sent-picture-protocol.ts';
import { annotatedStill } from './annotated-still.ts';
import { DecodePlaces } from './decode-places.ts';
import { decodeStill } from './decode-still.ts';
import { Scaler } from './scaler.ts';

export type SentPictureDispatcher = FrameDispatcher & ModelDirectory & Disposable;

export interface SentPictureChildOptions {
  /** The pipe to control. */
  readonly pipe: Duplex;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Pictures of usual size decoded at a time. */
  readonly places: number;
  readonly makeDispatcher: (hello: SentPictureHello, listener: DispatchListener) => SentPictureDispatcher;
  /** A picture is being decoded for too long: the decoder hangs, and its thread cannot be ended. */
  readonly onStuck: () => void;
}

/** 4K; larger ones take several places. */
const USUAL_PIXELS = 3840 * 2160;
/** The largest picture takes a second. */
const STUCK_MS: Milliseconds = 10_000;
/** The workers have so long to be there when the process begins. */
const FIRST_CONTACT_MS: Milliseconds = 2_000;
const LOOK_MS: Milliseconds = 10;
/** Sizes of pictures and of inputs whose scalers are kept. */
const MAX_SCALERS = 16;
const MAX_DETAIL = 2_000;
/** Pictures of usual size that wait for their boxes, decoded: 50 MiB of JPEG, five times that of a PNG with 16 bits. */
const MAX_KEPT = 4;

type Unseen = Extract<SentPictureAnswer, { seen: false }>['reason'];
const REASONS: Readonly<Record<string, Unseen>> = { PICTURE_DAMAGED: 'damaged', PICTURE_FORMAT: 'format', PICTURE_TOO_LARGE: 'too_large' };
const SKIPS: Readonly<Record<DispatchSkip, { readonly reason: Unseen; readonly detail: string }>> = {
  no_credit: { reason: 'deadline', detail: 'No worker had room for the picture in time.' },
  superseded: { reason: 'deadline', detail: 'No worker had room for the picture in time.' },
  refreshed: { reason: 'deadline', detail: 'No worker had room for the picture in time.' },
  deadline: { reason: 'deadline', detail: 'The worker did not answer in time.' },
  worker_lost: { reason: 'worker_lost', detail: 'No worker is connected, or the one that had the picture went away.' },
  refused: { reason: 'refused', detail: 'The worker refuses the picture; its log says why.' },
};

/** Why a picture has no detections; thrown on its way. */
class NotSeen extends Error {
  readonly reason: Unseen;
  constructor(reason: Unseen, detail: string) {
    super(detail);
    this.reason = reason;
  }
}

type Seen = Pick<Extract<SentPictureAnswer, { seen: true }>, 'detections' | 'modelDigest'> & { readonly queueMs: number; readonly inferenceMs: number };

/** The process that decodes what clients send: a picture comes by the pipe, is decoded and scaled, shown to a worker's model, and what it says goes back. */
export class SentPictureChild implements Disposable {
  readonly #options: SentPictureChildOptions;
  readonly #places: DecodePlaces;
  /** Of pictures that are kept until their boxes are known. */
  readonly #kept = new DecodePlaces(MAX_KEPT, USUAL_PIXELS);
  readonly #scalers = new Map<string, Scaler>();
  /** Pictures that are with the dispatcher, by what they are called there. */
  readonly #asked = new Map<string, PromiseWithResolvers<Seen>>();
  #dispatcher: SentPictureDispatcher | null = null;
  #deadlineMs: Milliseconds = 0;
  #firstContact: Promise<void> = Promise.resolve();

  constructor(options: SentPictureChildOptions) {
    this.#options = options;
    this.#places = new DecodePlaces(options.places, USUAL_PIXELS);
    const reader = new MessageReader((type, body) => {
      const message = decodeToDecoder(type, body);
      switch (message.type) {
        case 'hello': this.#begin(message); return;
        case 'workers': this.#dispatcher?.setWorkers(message.workers); return;
        case 'picture': void this.#answer(message.request, message.bytes); return;
      }
    });
    options.pipe.on('data', (chunk: Buffer) => { reader.push(chunk); });
    options.pipe.write(encodeReady());
  }

  [Symbol.dispose](): void {
    this.#dispatcher?.[Symbol.dispose]();
    for (const scaler of this.#scalers.values()) scaler[Symbol.dispose]();
    this.#scalers.clear();
  }

  #begin({ workers, deadlineMs }: SentPictureHello): void {
    const dispatcher = this.#options.makeDispatcher({ workers, deadlineMs }, this.#listener);
    this.#dispatcher = dispatcher;
    this.#deadlineMs = deadlineMs;
    this.#firstContact = this.#contact(dispatcher);
  }

  /** Resolves when a worker is connected, or has had its time. */
  #contact(dispatcher: SentPictureDispatcher): Promise<void> {
    const { clock } = this.#options;
    const end = clock.monotonic() + FIRST_CONTACT_MS;
    return new Promise((resolve) => {
      const look = clock.every(LOOK_MS, () => {
        if (!dispatcher.connected && clock.monotonic() < end) return;
        look[Symbol.dispose]();
        resolve();
      });
    });
  }

  async #answer(request: SentPictureRequest, bytes: Buffer): Promise<void> {
    const { id } = request;
    let answer: SentPictureAnswer;
    try {
      answer = { id, seen: true, ...await this.#look(request, bytes) };
    } catch (error) {
      answer = { id, seen: false, ...this.#why(error) };
    }
    if (this.#options.pipe.destroyed) return;
    this.#options.pipe.cork();
    for (const piece of encodeAnswer(answer)) this.#options.pipe.write(piece);
    this.#options.pipe.uncork();
  }

  async #look({ id, model: name, confidence, annotated: wanted }: SentPictureRequest, bytes: Buffer): Promise<Omit<Extract<SentPictureAnswer, { seen: true }>, 'id' | 'seen'>> {
    const { clock } = this.#options;
    const receivedAt = clock.monotonic();
    await this.#firstContact;
    const model = this.#model(name);
    const still = readStill(bytes);
    const pixelCount = still.width * still.height;
    using _kept = wanted ? await this.#kept.take(pixelCount) : null; // before a place to decode in, which it would hold up
    using picture = wanted ? allocatedFrame() : null;
    let began: Milliseconds;
    let decoded: Milliseconds;
    let scaled: Milliseconds;
    let pixels: PixelLease;
    {
      using _place = await this.#places.take(pixelCount);
      began = clock.monotonic();
      if (began - receivedAt > this.#deadlineMs + FIRST_CONTACT_MS) throw new NotSeen('deadline', 'Too many pictures are being decoded.');
      using _watch = clock.after(STUCK_MS, this.#options.onStuck);
      using frame = await decodeStill(still);
      decoded = clock.monotonic();
      if (picture) FFmpegError.throwIfError(picture.ref(frame), 'holding a picture');
      const [lease] = this.#scaler(still.width, still.height, model).scale(frame, 1);
      invariant(lease, 'a scaler hands out what it is asked for');
      pixels = lease;
      scaled = clock.monotonic();
    }
    const { detections, modelDigest, queueMs, inferenceMs } = await this.#ask(id, name, confidence, still, pixels);
    const answered = clock.monotonic();
    const annotated = picture ? await this.#annotate(picture, still, detections) : null;
    return {
      width: still.width, height: still.height, detections, modelDigest, annotated,
      times: { waitingMs: began - receivedAt, decodeMs: decoded - began, resizeMs: scaled - decoded, queueMs, inferenceMs, annotateMs: annotated ? clock.monotonic() - answered : 0 },
    };
  }

  /** What is found is told even where it cannot be drawn. */
  async #annotate(picture: Frame, { format, width, height }: StillPicture, detections: readonly Detection[]): Promise<AnnotatedPicture> {
    const { clock, logger, onStuck } = this.#options;
    try {
      using _place = await this.#places.take(width * height);
      using _watch = clock.after(STUCK_MS, onStuck);
      const bytes = await annotatedStill(picture, format, detections.map(({ className, classId, confidence, trackId, bbox }) => ({ className, classId, confidence, trackId, ...bbox })));
      return bytes.length > MAX_SENT_PICTURE_BYTES ? { made: false, why: 'too_large' } : { made: true, bytes };
    } catch (error) {
      logger.warn({ error: messageOf(error) }, 'the boxes of a sent picture could not be drawn');
      return { made: false, why: 'failed' };
    }
  }

  #model(name: string): ModelInfo {
    const dispatcher = this.#dispatcher;
    const ready = dispatcher?.model(name);
    if (ready) return ready;
    if (!dispatcher?.connected) throw new NotSeen('worker_lost', 'No worker is connected.');
    const models = dispatcher.models();
    const known = models.get(name);
    if (known) throw new NotSeen('model_not_ready', known.state === 'loading' ? `The model ${name} is loading.` : `The model ${name} cannot be used: ${known.failure ?? 'it has failed'}`);
    const names = [...models.values()].filter(({ state }) => state === 'ready').map((model) => model.name).sort();
    throw new NotSeen('no_model', names.join(', '));
  }

  /** Each picture is a camera of its own to the dispatcher: none takes the place of another. */
  async #ask(id: number, model: string, confidence: number | null, { width, height }: { readonly width: number; readonly height: number }, pixels: PixelLease): Promise<Seen> {
    const dispatcher = this.#dispatcher;
    invariant(dispatcher, 'there is a model, so there is a dispatcher');
    const camera = String(id);
    const asked = Promise.withResolvers<Seen>();
    this.#asked.set(camera, asked);
    dispatcher.offer({
      camera, detector: 'sent', model, confidence, faintConfidence: null, frame: { stream: camera, epoch: 0, rtpTs: 0, captureNtp: null, seq: id },
      capturedAt: this.#options.clock.now(), sourceWidth: width, sourceHeight: height, pixels,
    });
    return await asked.promise;
  }

  readonly #listener: DispatchListener = {
    onResult: (_detector, { frame, detections, modelDigest }, { queueMs, waitMs, inferenceMs }) => {
      this.#take(frame.stream)?.resolve({ detections: detections.map((detection) => ({ ...detection, trackId: null })), modelDigest, queueMs: queueMs + waitMs, inferenceMs });
    },
    onSkip: (camera, skip) => {
      const { reason, detail } = SKIPS[skip];
      this.#take(camera)?.reject(new NotSeen(reason, detail));
    },
  };

  #take(camera: string): PromiseWithResolvers<Seen> | undefined {
    const asked = this.#asked.get(camera);
    this.#asked.delete(camera);
    return asked;
  }

  /** A scaler follows no change of size without being made anew, and streams have pictures of different sizes. */
  #scaler(width: number, height: number, { inputWidth, inputHeight }: ModelInfo): Scaler {
    const key = [width, height, inputWidth, inputHeight].join('x');
    const scaler = this.#scalers.get(key) ?? new Scaler(inputWidth, inputHeight);
    this.#scalers.delete(key); // behind all others: the first is the one used least lately
    this.#scalers.set(key, scaler);
    for (const [oldest, other] of this.#scalers) {
      if (this.#scalers.size <= MAX_SCALERS) break;
      this.#scalers.delete(oldest);
      other[Symbol.dispose]();
    }
    return scaler;
  }

  #why(error: unknown): { readonly reason: Unseen; readonly detail: string } {
    if (error instanceof NotSeen) return { reason: error.reason, detail: error.message.slice(0, MAX_DETAIL) };
    const reason = error instanceof MediaError ? REASONS[error.reason ?? ''] : undefined;
    if (reason !== undefined) return { reason, detail: messageOf(error).slice(0, MAX_DETAIL) };
    // libswscale knows no such pixels, for one.
    this.#options.logger.warn({ error: messageOf(error) }, 'a sent picture could not be looked at');
    return { reason: 'damaged', detail: 'The picture could not be decoded.' };
  }
}

const allocatedFrame = (): Frame => {
  const frame = new Frame();
  frame.alloc();
  return frame;
};
