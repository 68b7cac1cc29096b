import type { Frame } from 'node-av/lib';
import type { CameraId } from '../../core/frame-ref.ts';
import { IN_SOFTWARE, deviceName } from '../hardware/hardware-choice.ts';
import type { CodecName } from '../hardware/hardware-choice.ts';
import type { CodecMessage, HardwareMessage } from '../protocol.ts';
import type { EncoderSource } from './burn-in.ts';
import type { DecoderSource } from './camera-decoder.ts';
import { Decoder } from './decoder.ts';
import type { PictureDecoder } from './decoder.ts';
import { H264Encoder } from './h264-encoder.ts';
import { HardwareDevice } from './hardware-device.ts';

const MOST_THREADS_LOST = 2;

/** The devices the edge has found to be good, opened once for all cameras of this process. */
export class ProcessDevices implements DecoderSource, EncoderSource, Disposable {
  #chosen: HardwareMessage = { ...IN_SOFTWARE, software: [] };
  readonly #opened = new Map<string, HardwareDevice>();
  readonly #onStuck: () => void;
  /** Devices that keep a picture for ever. */
  readonly #stuck = new Set<string>();
  #threadsLost = 0;

  /** `onStuck`: so many of the threads that encode are lost to devices that this process had better begin anew. */
  constructor(onStuck: () => void) {
    this.#onStuck = onStuck;
  }

  set(chosen: HardwareMessage): void {
    this.#chosen = chosen;
  }

  device(camera: CameraId, codec: CodecName): string | null {
    const spec = this.#chosen.decode[codec];
    return spec === undefined || this.#chosen.software.includes(camera) ? null : deviceName(spec);
  }

  encodingDevice(camera: CameraId): string | null {
    const { encode, software } = this.#chosen;
    return encode === null || software.includes(camera) || this.#stuck.has(deviceName(encode)) ? null : deviceName(encode);
  }

  open(codec: CodecMessage, device: string | null): PictureDecoder {
    return new Decoder(codec, device === null ? null : this.#open(device));
  }

  encoder(first: Frame, device: string | null, maxHeight: number | null): H264Encoder {
    return new H264Encoder(first, device === null ? null : this.#open(device), maxHeight);
  }

  doubt(device: string): void {
    this.#opened.get(device)?.[Symbol.dispose]();
    this.#opened.delete(device);
  }

  /** No camera's video is encoded on it in this process any more: a call into a driver cannot be taken back, and its thread is one of libuv's four. */
  stuck(device: string): void {
    this.#stuck.add(device);
    this.#threadsLost++;
    if (this.#threadsLost === MOST_THREADS_LOST) this.#onStuck();
  }

  [Symbol.dispose](): void {
    for (const device of this.#opened.values()) device[Symbol.dispose]();
    this.#opened.clear();
  }

  #open(name: string): HardwareDevice {
    const known = this.#opened.get(name);
    if (known) return known;
    const { decode, encode } = this.#chosen;
    const spec = [...Object.values(decode), ...(encode ? [encode] : [])].find((one) => deviceName(one) === name);
    if (!spec) throw new Error(`${name} is not used any more`);
    const device = new HardwareDevice(spec);
    this.#opened.set(name, device);
    return device;
  }
}
