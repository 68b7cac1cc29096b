import type { CameraId } from '../../core/frame-ref.ts';
import { IN_SOFTWARE, deviceName } from '../hardware/hardware-choice.ts';
import type { CodecName, HardwareDeviceSpec } from '../hardware/hardware-choice.ts';
import type { CodecMessage, HardwareMessage } from '../protocol.ts';
import type { DecoderSource } from './camera-decoder.ts';
import { Decoder } from './decoder.ts';
import type { PictureDecoder } from './decoder.ts';
import { HardwareDevice } from './hardware-device.ts';

/** The devices the edge has found to be good, opened once for all cameras of this process. */
export class HardwareDecoders implements DecoderSource, Disposable {
  #chosen: HardwareMessage = { ...IN_SOFTWARE, software: [] };
  readonly #open = new Map<string, HardwareDevice>();

  set(chosen: HardwareMessage): void {
    this.#chosen = chosen;
  }

  device(camera: CameraId, codec: CodecName): string | null {
    const spec = this.#chosen.decode[codec];
    return spec === undefined || this.#chosen.software.includes(camera) ? null : deviceName(spec);
  }

  open(codec: CodecMessage, device: string | null): PictureDecoder {
    return new Decoder(codec, device === null ? null : this.#opened(device));
  }

  doubt(device: string): void {
    this.#open.get(device)?.[Symbol.dispose]();
    this.#open.delete(device);
  }

  [Symbol.dispose](): void {
    for (const device of this.#open.values()) device[Symbol.dispose]();
    this.#open.clear();
  }

  #opened(name: string): HardwareDevice {
    const known = this.#open.get(name);
    if (known) return known;
    const spec = this.#specs().find((one) => deviceName(one) === name);
    if (!spec) throw new Error(`${name} is not used any more`);
    const device = new HardwareDevice(spec);
    this.#open.set(name, device);
    return device;
  }

  #specs(): readonly HardwareDeviceSpec[] {
    return Object.values(this.#chosen.decode);
  }
}
