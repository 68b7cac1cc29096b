import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import type { CameraId } from '../../core/frame-ref.ts';
import type { Logger } from '../../platform/logging.ts';
import type { CodecMessage } from '../protocol.ts';
import type { OnFrame, PictureDecoder } from './decoder.ts';
import { DevicePatience } from './device-patience.ts';

/** Where decoders come from. */
export interface DecoderSource {
  /** The device a camera's pictures of this codec are decoded on now; null: software. */
  device(camera: CameraId, codec: CodecMessage['codec']): string | null;
  /** Throws when there is no such decoder, or the device is not there. */
  open(codec: CodecMessage, device: string | null): PictureDecoder;
  /** The device failed: it is opened anew for the next decoder. */
  doubt(device: string): void;
}

export interface CameraDecoderOptions {
  readonly camera: CameraId;
  readonly source: DecoderSource;
  readonly clock: Clock;
  readonly logger: Logger;
  /** It was made, ended, or decodes on something else: the edge wants to know now. */
  readonly onChange: () => void;
}

const IN_SOFTWARE = 'software';

interface Running {
  readonly decoder: PictureDecoder;
  readonly device: string | null;
}

/**
 * A camera's one decoder: on a device where one is trusted, in software where none is, and from the next random access picture on where the device has failed. What
 * decodes changes at random access pictures only, so that no picture is lost by it.
 */
export class CameraDecoder implements Disposable {
  readonly #options: CameraDecoderOptions;
  readonly #patience = new DevicePatience();
  #running: Running | null = null;
  #failed: string[] = [];

  constructor(options: CameraDecoderOptions) {
    this.#options = options;
  }

  /** `software`, or the device's name; null: there is none. */
  get name(): string | null {
    return this.#running && (this.#running.device ?? IN_SOFTWARE);
  }

  /** Devices that failed since the last call. */
  takeFailed(): string[] {
    const failed = this.#failed;
    this.#failed = [];
    return failed;
  }

  /** As `PictureDecoder.decode`. What comes after a failure begins at a random access unit. */
  decode(codec: CodecMessage, data: Buffer, index: number, randomAccess: boolean, onFrame: OnFrame): void {
    const { decoder } = this.#runningFor(codec, randomAccess, onFrame);
    try {
      decoder.decode(data, index, randomAccess, onFrame);
    } catch (error) {
      this.#judge(error);
      throw error;
    }
  }

  drain(onFrame: OnFrame): void {
    try {
      this.#running?.decoder.drain(onFrame);
    } catch (error) {
      this.#judge(error);
      throw error;
    }
  }

  reset(): void {
    this.#running?.decoder.reset();
  }

  /** What comes next is of another kind. */
  end(): void {
    this.#patience.forget();
    if (!this.#running) return;
    this.#close();
    this.#options.onChange();
  }

  [Symbol.dispose](): void {
    this.end();
  }

  #runningFor(codec: CodecMessage, randomAccess: boolean, onFrame: OnFrame): Running {
    const known = this.#running;
    if (known && (!randomAccess || known.device === this.#wanted(codec))) return known;
    if (known) this.#finish(known, onFrame);
    this.#running = this.#open(codec, this.#wanted(codec));
    this.#options.onChange();
    return this.#running;
  }

  #wanted({ codec }: CodecMessage): string | null {
    const { camera, source, clock } = this.#options;
    return this.#patience.allows(clock.monotonic()) ? source.device(camera, codec) : null;
  }

  /** What it holds back is given out, as far as it can be. */
  #finish({ decoder, device }: Running, onFrame: OnFrame): void {
    try {
      decoder.drain(onFrame);
    } catch (error) {
      if (device !== null) this.#giveUp(device, error);
    }
    this.#close();
  }

  /** In software, if the device cannot be opened any more. */
  #open(codec: CodecMessage, device: string | null): Running {
    const { source } = this.#options;
    if (device === null) return { decoder: source.open(codec, null), device };
    try {
      return { decoder: source.open(codec, device), device };
    } catch (error) {
      this.#giveUp(device, error);
      return { decoder: source.open(codec, null), device: null };
    }
  }

  /** Whatever goes wrong on a device, also in what is done with its pictures, is held against it: software does it then. */
  #judge(error: unknown): void {
    const device = this.#running?.device ?? null;
    if (device === null) return;
    this.#giveUp(device, error);
    this.#close();
  }

  #giveUp(device: string, error: unknown): void {
    const { camera, source, clock, logger } = this.#options;
    this.#patience.failed(clock.monotonic());
    source.doubt(device);
    if (this.#failed.length < 16) this.#failed.push(device);
    logger.warn({ camera, device, error: messageOf(error) }, 'the device failed; the camera is decoded in software');
  }

  #close(): void {
    this.#running?.decoder[Symbol.dispose]();
    this.#running = null;
  }
}
