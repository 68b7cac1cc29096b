import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import type { Milliseconds } from '../../core/units.ts';
import { MAX_SENT_PICTURE_BYTES } from '../../extractor/port.ts';
import type { SentPictureDetector } from '../../extractor/port.ts';
import { toGrpcStatus } from '../../platform/grpc/errors.ts';
import { readOneAtATime } from '../../platform/grpc/read-one.ts';
import { resetStream } from '../../platform/grpc/reset-stream.ts';
import type { Metrics } from '../../platform/metrics.ts';
import type { StreamProcessedFrame, StreamVideoFrame } from '../../proto/gen/imageflow/v1/stream/messages_pb.ts';
import { failureOfStream, frameAnswer } from './frame-answer.ts';
import type { AskedFrame, FrameOutcome } from './frame-answer.ts';
import type { FrameBudget } from './frame-budget.ts';
import { frameSettings } from './frame-settings.ts';
import type { FrameSettings } from './frame-settings.ts';

export type VideoCall = ServerDuplexStream<StreamVideoFrame, StreamProcessedFrame>;

export interface VideoStreamOptions {
  readonly detector: SentPictureDetector;
  readonly defaultModel: string;
  readonly budget: FrameBudget;
  /** Of pictures that go back: each is held with the most it may have until it is there, then with what it has until it is sent. */
  readonly answers: FrameBudget;
  readonly clock: Clock;
  readonly metrics: Pick<Metrics, 'streamedFrames' | 'streamedFrameSeconds'>;
  /** It has ended, in whatever way. */
  readonly onEnd: () => void;
}

/** Frames with the detector at a time: enough that one is decoded while the model has another, and for several workers. */
const UNDER_WAY = 4;
/** The same of frames that give way: each more is a frame older when its answer comes. */
const UNDER_WAY_NEWEST = 2;
/** Frames without an answer, those that gave way behind a slow one included. */
const MAX_UNANSWERED = 64;
/** Nothing comes and nothing is owed. */
const IDLE: Milliseconds = 60_000;
/** The client does not read what it is answered. */
const UNREAD: Milliseconds = 30_000;
/** A stream that has ended may still read so long what was on its way. */
const LAST_READ: Milliseconds = 2_000;
/** Who reads a picture no faster does not read it: 256 kbit/s. */
const SLOWEST_BYTES_PER_MS = 32;

interface Slot extends AskedFrame {
  readonly settings: FrameSettings;
  readonly receivedAt: Milliseconds;
  /** Null once it is with the detector, or answered. */
  bytes: Uint8Array | null;
  readonly held: Disposable;
  /** Of the picture that is to go back. */
  goesBack: Disposable | null;
  /** It is with the detector, and its bytes with it, until that says something. */
  started: boolean;
  answer: FrameOutcome | MediaError | null;
}

/**
 * One call of `ProcessVideoStream`: frames are read as there is room for them, looked at several at a time, and answered in their order, each
 * exactly once.
 */
export class VideoStream {
  readonly #call: VideoCall;
  readonly #options: VideoStreamOptions;
  /** Without an answer yet, in their order. */
  readonly #slots: Slot[] = [];
  /** Of these, not yet with the detector. */
  #waiting: Slot[] = [];
  #settings: FrameSettings;
  #sequence = 0;
  #underWay = 0;
  /** The picture that is being sent to the client; no other answer is written before it is gone, so that what is not read is one. */
  #sending: { readonly held: Disposable; readonly since: Milliseconds; readonly bytes: number } | null = null;
  /** The client has sent all it has, or something that ends the stream. */
  #readAll = false;
  /** Since when answers are not read; null: they are. */
  #unreadSince: Milliseconds | null = null;
  /** A frame came, or was answered. */
  #usedAt: Milliseconds;
  #ended = false;

  /** Of a call nobody has read from yet. */
  constructor(call: VideoCall, options: VideoStreamOptions) {
    this.#call = call;
    this.#options = options;
    this.#settings = frameSettings(undefined, options.defaultModel);
    this.#usedAt = options.clock.monotonic();
    readOneAtATime(call);
    call.on('cancelled', () => { this.#end(); this.#sent(); });
    call.on('close', () => { this.#sent(); });
    call.on('drain', () => { this.#unreadSince = null; this.next(); });
    call.on('end', () => { this.#readAll = true; this.#flush(); });
    call.on('data', (frame: StreamVideoFrame) => { this.#take(frame); });
  }

  /** Ends the call with an error; what it has not been answered is not. */
  fail(error: MediaError): void {
    if (this.#ended) return;
    this.#end();
    this.#call.emit('error', toGrpcStatus(error));
    // The status waits behind the picture, and the picture for a client that may never read.
    if (this.#sending) this.#options.clock.after(LAST_READ, () => { if (this.#sending) resetStream(this.#call); });
  }

  /** To be called now and then: a stream that nobody uses ends. */
  sweep(): void {
    const now = this.#options.clock.monotonic();
    const unreadSince = this.#sending?.since ?? this.#unreadSince;
    const patience = UNREAD + (this.#sending?.bytes ?? 0) / SLOWEST_BYTES_PER_MS;
    if (unreadSince !== null && now - unreadSince > patience) this.fail(new MediaError('DEADLINE_EXCEEDED', `Answers were not read for ${String(Math.round(patience / 1000))} s.`, { reason: 'ANSWERS_NOT_READ' }));
    else if (this.#slots.length === 0 && now - this.#usedAt > IDLE) this.fail(new MediaError('DEADLINE_EXCEEDED', `No frame came for ${String(IDLE / 1000)} s.`, { reason: 'STREAM_IDLE' }));
  }

  /** Hands on what waits as far as there is room, and reads more if there is. */
  next(): void {
    if (this.#ended) return;
    for (let slot = this.#waiting[0]; slot && this.#hasRoomFor(slot); slot = this.#waiting[0]) {
      this.#waiting.shift();
      this.#start(slot);
    }
    const wanted = !this.#readAll && this.#unreadSince === null && this.#slots.length < MAX_UNANSWERED && !this.#options.budget.full && this.#waiting.every(({ settings }) => settings.mayGiveWay);
    if (wanted && this.#call.isPaused()) this.#call.resume();
    else if (!wanted && !this.#call.isPaused()) this.#call.pause();
  }

  #hasRoomFor({ settings: { mayGiveWay, annotated } }: Slot): boolean {
    return this.#underWay < (mayGiveWay ? UNDER_WAY_NEWEST : UNDER_WAY) && !(annotated && this.#options.answers.full);
  }

  #take({ frameData, timestampMs, metadata }: StreamVideoFrame): void {
    if (this.#ended || this.#readAll) return;
    const now = this.#options.clock.monotonic();
    this.#usedAt = now;
    let failure: MediaError | null = null;
    try {
      if (metadata) this.#settings = frameSettings(metadata, this.#options.defaultModel);
    } catch (error) {
      failure = error instanceof MediaError ? error : new MediaError('INTERNAL', 'The metadata could not be read.', { cause: error });
    }
    const { sourceId, model } = this.#settings;
    const slot: Slot = {
      sequence: this.#sequence++, timestampMs, sourceId, model, settings: this.#settings, receivedAt: now, bytes: frameData, held: this.#options.budget.hold(frameData.length), goesBack: null, started: false, answer: null,
    };
    this.#slots.push(slot);
    if (failure) this.#settle(slot, failure);
    else if (frameData.length === 0) this.#settle(slot, { seen: false, reason: 'empty', detail: 'The frame has no picture.' });
    else if (frameData.length > MAX_SENT_PICTURE_BYTES) this.#settle(slot, { seen: false, reason: 'too_large', detail: `The picture has more than ${String(MAX_SENT_PICTURE_BYTES)} bytes.` });
    else {
      const before = this.#waiting;
      this.#waiting = [...before.filter(({ settings }) => !settings.mayGiveWay), slot];
      for (const each of before) if (each.settings.mayGiveWay) this.#settle(each, { seen: false, reason: 'superseded', detail: 'A newer frame took its place.' });
    }
    this.next();
  }

  #start(slot: Slot): void {
    const { bytes, settings: { model, confidence, annotated } } = slot;
    if (!bytes) return;
    slot.started = true;
    this.#underWay++;
    if (annotated) slot.goesBack = this.#options.answers.hold(MAX_SENT_PICTURE_BYTES);
    void this.#options.detector.detect({ bytes, model, confidence, annotated }).then((outcome) => {
      this.#underWay--;
      this.#settle(slot, failureOfStream(outcome, slot) ?? outcome);
      this.next();
    });
  }

  #settle(slot: Slot, answer: FrameOutcome | MediaError): void {
    slot.bytes = null;
    slot.answer = answer;
    slot.held[Symbol.dispose]();
    this.#holdAnswer(slot, answer);
    if (answer instanceof MediaError) this.#readAll = true; // nothing behind it is answered
    this.#flush();
  }

  /** It is known how much goes back. */
  #holdAnswer(slot: Slot, answer: FrameOutcome | MediaError): void {
    const most = slot.goesBack;
    if (!most) return;
    slot.goesBack = null;
    if (!this.#ended && !(answer instanceof MediaError) && answer.seen && answer.annotated?.made === true) slot.goesBack = this.#options.answers.hold(answer.annotated.bytes.length);
    most[Symbol.dispose]();
  }

  /** Writes an answer; with a picture in it, to be held until it is sent. */
  #write(message: StreamProcessedFrame, picture: Disposable | null): void {
    const now = this.#options.clock.monotonic();
    if (picture) this.#sending = { held: picture, since: now, bytes: message.processedData.length };
    const goesOn = picture ? this.#call.write(message, () => { this.#sent(); }) : this.#call.write(message);
    if (!goesOn) this.#unreadSince ??= now;
    this.#usedAt = now;
  }

  /** The picture is gone, to the client or with the call. Also of a stream that was given up: until then it is in memory. */
  #sent(): void {
    this.#sending?.held[Symbol.dispose]();
    this.#sending = null;
    this.#flush();
    this.next();
  }

  /** Answers what is next in the order, as far as it can be answered. */
  #flush(): void {
    const { clock, metrics } = this.#options;
    for (let slot = this.#slots[0]; slot?.answer && !this.#ended && !this.#sending; slot = this.#slots[0]) {
      const { answer } = slot;
      if (answer instanceof MediaError) {
        this.fail(answer);
        return;
      }
      this.#slots.shift();
      const totalMs = clock.monotonic() - slot.receivedAt;
      metrics.streamedFrames.inc({ result: answer.seen ? 'seen' : answer.reason });
      if (answer.seen) {
        const { waitingMs, decodeMs, resizeMs, queueMs, inferenceMs, annotateMs } = answer.times;
        const stages = { waiting: waitingMs, decode: decodeMs, resize: resizeMs, queue: queueMs, model: inferenceMs, ...(answer.annotated && { annotate: annotateMs }), total: totalMs };
        for (const [stage, ms] of Object.entries(stages)) metrics.streamedFrameSeconds.observe({ stage }, ms / 1000);
      }
      this.#write(frameAnswer(slot, answer, totalMs), slot.goesBack);
    }
    if (!this.#readAll || this.#slots.length > 0 || this.#ended) return;
    this.#end();
    this.#call.end();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const { held, started, answer, goesBack } of this.#slots) {
      if (!started) held[Symbol.dispose]();
      if (answer) goesBack?.[Symbol.dispose]();
    }
    if (this.#slots.length > 0) this.#options.metrics.streamedFrames.inc({ result: 'call_ended' }, this.#slots.length);
    this.#slots.length = 0;
    this.#waiting = [];
    this.#call.pause();
    this.#options.onEnd();
  }
}
