import type { CameraId } from '../../core/frame-ref.ts';
import type { Logger } from '../../platform/logging.ts';
import type { HardwareMessage } from '../protocol.ts';
import { IN_SOFTWARE, chooseDevices, deviceName, hardwareCandidates, whyInVain } from './hardware-choice.ts';
import type { ChosenDevices, HardwareDeviceSpec, HardwareMode, Machine, ProbeVerdict, ProbedDevice } from './hardware-choice.ts';

export interface HardwareDevicesOptions {
  /** `extractor.hardware`. */
  readonly mode: HardwareMode;
  readonly machine: Machine;
  /** Never rejects. */
  readonly probe: (device: HardwareDeviceSpec, signal: AbortSignal) => Promise<ProbeVerdict>;
  readonly logger: Logger;
  /** The device that the configuration names cannot be used, and why. */
  readonly onProblem: (problem: string) => void;
}

/** So many cameras whose decoder died on a device, and it is used for none any more. */
const CRASHES_TO_GIVE_UP = 3;

/**
 * What this machine decodes and encodes on. Each device is tried once, when the edge starts, in a process of its own; until that is known, and where none can be
 * trusted, software does it. A camera whose extractor process died while a device decoded it is decoded in software from then on.
 */
export class HardwareDevices implements Disposable {
  readonly #options: HardwareDevicesOptions;
  readonly #crashed = new Set<CameraId>();
  readonly #listeners = new Set<() => void>();
  readonly #ending = new AbortController();
  #chosen: ChosenDevices = IN_SOFTWARE;
  /** Settles when all devices have been tried. Never rejects. */
  readonly tried: Promise<void>;

  constructor(options: HardwareDevicesOptions) {
    this.#options = options;
    this.tried = this.#try();
  }

  /** For the extractor processes. */
  get message(): HardwareMessage {
    return { decode: { ...this.#chosen.decode }, encode: this.#chosen.encode, software: [...this.#crashed].slice(0, 1000) };
  }

  /** There is none to be used. */
  get none(): boolean {
    return Object.keys(this.#chosen.decode).length === 0 && this.#chosen.encode === null;
  }

  /** What is to be used has changed. */
  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => { this.#listeners.delete(listener); } };
  }

  /** An extractor process died at this camera's video; `decoder`: what decoded it, null: it is not known, or a device encoded it. */
  onCrash(camera: CameraId, decoder: string | null): void {
    if (this.none || decoder === 'software' || this.#crashed.has(camera)) return;
    this.#crashed.add(camera);
    this.#options.logger.warn({ camera, device: decoder ?? undefined }, 'the extractor died on a device; the camera is decoded in software until the edge is started again');
    if (this.#crashed.size >= CRASHES_TO_GIVE_UP) {
      this.#chosen = IN_SOFTWARE;
      this.#options.logger.error({ cameras: [...this.#crashed] }, 'the device crashed the extractor with several cameras; no device is used until the edge is started again');
    }
    this.#changed();
  }

  [Symbol.dispose](): void {
    this.#listeners.clear();
    this.#ending.abort();
  }

  async #try(): Promise<void> {
    const { mode, machine, probe, logger } = this.#options;
    const probed: ProbedDevice[] = [];
    // One after the other: nobody waits for it.
    for (const device of hardwareCandidates(mode, machine)) {
      const verdict = await probe(device, this.#ending.signal);
      if (this.#ending.signal.aborted) return;
      probed.push({ device, verdict });
      logger.info({ device: deviceName(device), ...verdict }, 'device tried');
    }
    this.#chosen = chooseDevices(probed);
    this.#tell(probed);
    if (!this.none) this.#changed();
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }

  #tell(probed: readonly ProbedDevice[]): void {
    const { mode, logger, onProblem } = this.#options;
    if (mode === 'off') return;
    const decode = Object.fromEntries(Object.entries(this.#chosen.decode).map(([codec, device]) => [codec, deviceName(device)]));
    if (!this.none || mode === 'auto') {
      logger.info({ mode, decode, encode: this.#chosen.encode && deviceName(this.#chosen.encode) }, this.none ? 'no device can be used; video is decoded in software' : 'video is decoded on devices');
      return;
    }
    const why = whyInVain(mode, this.#options.machine) ?? probed.map(({ device, verdict }) => `${deviceName(device)}: ${reasonOf(verdict)}`).join('; ');
    logger.warn({ mode, why }, 'the device that extractor.hardware names cannot be used; video is decoded in software');
    onProblem(`extractor.hardware is ${mode}, which cannot be used: ${why}. Video is decoded in software.`);
  }
}

const reasonOf = ({ failures: { device, ...others } }: ProbeVerdict): string => device ?? Object.entries(others).map(([what, failure]) => `${what}: ${failure}`).join(', ');
