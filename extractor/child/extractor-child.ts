import type { Duplex } from 'node:stream';
import type { Clock } from '../../core/clock.ts';
import { invariant } from '../../core/errors.ts';
import type { DispatchListener, FrameDispatcher, ModelDirectory } from '../../inference/port.ts';
import type { Logger } from '../../platform/logging.ts';
import type { BlackBox } from '../black-box.ts';
import { MessageReader } from '../message-reader.ts';
import { decodeToChild, encodeAnnotatedUnitHeader, encodeBurnInStats, encodeCodeStats, encodeCodes, encodeFlushed, encodeModels, encodeNoStill, encodePictureHeader, encodeReports, encodeResult, encodeStats } from '../protocol.ts';
import type { Hello, PictureHeader, SentUnit, ToChild } from '../protocol.ts';
import { CameraExtraction } from './camera-extraction.ts';
import { CodeReader } from './code-reader.ts';
import { ProcessDevices } from './process-devices.ts';
import { readyModels } from './ready-models.ts';
import { SlowLane } from './slow-lane.ts';

type ChildDispatcher = FrameDispatcher & Pick<ModelDirectory, 'models'> & Disposable;

export interface ExtractorChildOptions {
  /** The pipe to the edge. */
  readonly pipe: Duplex;
  readonly blackBox: BlackBox;
  readonly clock: Clock;
  readonly logger: Logger;
  /** This process cannot go on: devices keep its threads. */
  readonly onStuck: () => void;
  readonly makeDispatcher: (hello: Hello, listener: DispatchListener) => ChildDispatcher;
}

const STATS_PERIOD_MS = 1000;
/** Results the edge has not read by then are given up; it is the edge that hangs. */
const MAX_UNREAD_BYTES = 8 << 20;
/** Pictures are given up sooner: results must not wait behind many of them. */
const MAX_UNREAD_BEFORE_PICTURE = 1 << 20;

/** The extractor process: what comes by the pipe is decoded, scaled and offered to the workers; what they say goes back, and pictures for viewers. */
export class ExtractorChild implements Disposable {
  readonly #options: ExtractorChildOptions;
  readonly #cameras = new Map<number, CameraExtraction>();
  readonly #timer: Disposable;
  /** Messages of the last chunk read. */
  #inbox: ToChild[] = [];
  #next = 0;
  #scheduled = false;
  readonly #lane = new SlowLane();
  readonly #codes: CodeReader;
  readonly #devices: ProcessDevices;
  #dispatcher: ChildDispatcher | null = null;
  /** JSON of the models that the edge knows. */
  #models = '';

  constructor(options: ExtractorChildOptions) {
    this.#options = options;
    this.#codes = new CodeReader(options);
    this.#devices = new ProcessDevices(options.onStuck);
    const reader = new MessageReader((type, body) => { this.#inbox.push(decodeToChild(type, body)); });
    options.pipe.on('data', (chunk: Buffer) => {
      reader.push(chunk);
      if (this.#inbox.length === 0) return;
      // Not read on before these are done, so that the pipe, and the edge behind it, feels a slow decoder.
      options.pipe.pause();
      this.#schedule();
    });
    this.#timer = options.clock.every(STATS_PERIOD_MS, () => {
      for (const camera of this.#cameras.values()) {
        this.#sendStats(camera);
        this.#sendBurnInStats(camera);
        this.#sendCodeStats(camera);
      }
      if (!this.#dispatcher) return;
      this.#sendModels(this.#dispatcher);
      this.#send(encodeReports([...this.#dispatcher.reports()]));
    });
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
    for (const camera of this.#cameras.values()) camera[Symbol.dispose]();
    this.#cameras.clear();
    this.#codes[Symbol.dispose]();
    this.#devices[Symbol.dispose]();
    this.#dispatcher?.[Symbol.dispose]();
  }

  /** One message per turn of the event loop: a backlog of pictures must not keep answers of the workers waiting. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      const message = this.#inbox[this.#next++];
      if (message) this.#handle(message);
      if (this.#next < this.#inbox.length) {
        this.#schedule();
        return;
      }
      this.#inbox = [];
      this.#next = 0;
      this.#options.pipe.resume();
    });
  }

  #handle(message: ToChild): void {
    switch (message.type) {
      case 'hello': {
        const { type: _, ...hello } = message;
        this.#dispatcher = this.#options.makeDispatcher(hello, this.#listener);
        return;
      }
      case 'workers':
        this.#dispatcher?.setWorkers(message.workers);
        return;
      case 'camera': {
        const { type: _, ...camera } = message;
        const known = this.#cameras.get(camera.handle);
        if (known) known.update(camera);
        else this.#cameras.set(camera.handle, this.#add(camera.handle, camera));
        return;
      }
      case 'remove':
        this.#remove(message.handle);
        return;
      case 'flush': {
        const camera = this.#cameras.get(message.handle);
        if (!camera) return;
        const offered = camera.flush();
        this.#sendStats(camera);
        this.#send(encodeFlushed({ handle: message.handle, offered }));
        return;
      }
      case 'pictures':
        this.#cameras.get(message.handle)?.setPictures(message.streams);
        return;
      case 'still':
        this.#cameras.get(message.handle)?.still(message);
        return;
      case 'burn-in':
        this.#cameras.get(message.handle)?.setBurnIn(message.on, message.maxHeight);
        return;
      case 'keyframe':
        this.#cameras.get(message.handle)?.requestKeyframe();
        return;
      case 'hardware': {
        const { type: _, ...hardware } = message;
        this.#devices.set(hardware);
        return;
      }
      case 'access-unit':
        // Unknown: a camera that was just removed.
        this.#cameras.get(message.handle)?.accept(message);
        return;
    }
  }

  #add(handle: number, message: ConstructorParameters<typeof CameraExtraction>[0]): CameraExtraction {
    invariant(this.#dispatcher, 'the edge says hello first');
    return new CameraExtraction(message, {
      dispatcher: this.#dispatcher,
      blackBox: this.#options.blackBox,
      clock: this.#options.clock,
      logger: this.#options.logger,
      decoders: this.#devices,
      onDecoderChange: () => {
        const camera = this.#cameras.get(handle);
        if (camera) this.#sendStats(camera);
      },
      codes: { reader: this.#codes, send: (message) => { this.#send(encodeCodes(message)); } },
      lane: this.#lane,
      sendPicture: (header, bytes) => this.#sendPicture(header, bytes),
      sendNoStill: (failure) => { this.#send(encodeNoStill(failure)); },
      burnIn: {
        encoders: this.#devices,
        hasRoom: () => this.#hasRoom,
        send: (unit) => { this.#sendAnnotated(handle, unit); },
        onEncoderChange: () => {
          const camera = this.#cameras.get(handle);
          if (camera) this.#sendBurnInStats(camera);
        },
      },
    });
  }

  #remove(handle: number): void {
    const camera = this.#cameras.get(handle);
    if (!camera) return;
    camera[Symbol.dispose](); // its last statistics say: no decoder, no encoder
    this.#sendCodeStats(camera);
    this.#sendStats(camera);
    this.#cameras.delete(handle);
  }

  readonly #listener: DispatchListener = {
    onResult: (detector, result, timings, faint) => {
      for (const [handle, camera] of this.#cameras) {
        if (camera.camera !== result.frame.stream) continue;
        const tracked = camera.track(detector, result, faint);
        this.#send(encodeResult({ handle, detector, result: { ...tracked, detections: [...tracked.detections] }, timings }));
        camera.annotate(detector, tracked);
      }
    },
    onSkip: (id, reason, model) => {
      for (const camera of this.#cameras.values()) if (camera.camera === id) camera.skip(reason, model);
    },
  };

  #sendModels(dispatcher: ChildDispatcher): void {
    const models = readyModels(dispatcher.models());
    const json = JSON.stringify(models);
    if (json !== this.#models && this.#send(encodeModels(models))) this.#models = json;
  }

  #sendStats(camera: CameraExtraction): void {
    this.#send(encodeStats(camera.takeStats()));
  }

  #sendPicture(header: PictureHeader, bytes: Buffer): boolean {
    if (!this.#hasRoom) return false;
    this.#write(encodePictureHeader(header, bytes.length), bytes);
    return true;
  }

  /** For another picture. */
  get #hasRoom(): boolean {
    const { pipe } = this.#options;
    return !pipe.destroyed && pipe.writableLength <= MAX_UNREAD_BEFORE_PICTURE;
  }

  /** It was known before it was encoded whether there is room: one left out here would be a hole in the video. */
  #sendAnnotated(handle: number, unit: SentUnit): void {
    if (!this.#options.pipe.destroyed) this.#write(encodeAnnotatedUnitHeader(handle, unit), unit.data);
  }

  #sendBurnInStats(camera: CameraExtraction): void {
    const stats = camera.takeBurnInStats();
    if (stats) this.#send(encodeBurnInStats(stats));
  }

  #sendCodeStats(camera: CameraExtraction): void {
    const stats = camera.takeCodeStats();
    if (stats) this.#send(encodeCodeStats(stats));
  }

  #write(header: Buffer, bytes: Buffer): void {
    const { pipe } = this.#options;
    pipe.cork();
    pipe.write(header);
    pipe.write(bytes);
    pipe.uncork();
  }

  /** False: it is given up. */
  #send(message: Buffer): boolean {
    const { pipe } = this.#options;
    if (pipe.destroyed || pipe.writableLength >= MAX_UNREAD_BYTES) return false;
    pipe.write(message);
    return true;
  }
}
