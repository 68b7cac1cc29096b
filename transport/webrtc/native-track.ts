import type { Track } from 'node-datachannel';
import type { Logger } from '../../platform/logging.ts';
import { guard } from './guard.ts';
import type { SendTrack } from './port.ts';

/** A media track of libdatachannel, without its media handlers: RTP and RTCP go through as they are. */
export class NativeTrack implements SendTrack, Disposable {
  readonly mid: string;
  readonly #track: Track;
  #open = false;
  #openListener: (() => void) | undefined;
  #packetListener: ((packet: Buffer) => void) | undefined;

  /** `onClosed` is called once, when native code will not call back any more. */
  constructor(mid: string, track: Track, logger: Logger, onClosed: () => void) {
    this.mid = mid;
    this.#track = track;
    track.onClosed(guard(logger, () => { // without this listener the binding leaks the track (and keeps the process alive)
      this.#open = false;
      onClosed();
    }));
    track.onError(() => undefined);
    track.onOpen(guard(logger, () => {
      this.#open = true;
      this.#openListener?.();
    }));
    track.onMessage(guard(logger, (packet) => { this.#packetListener?.(packet); }));
  }

  get isOpen(): boolean {
    return this.#open;
  }

  send(packet: Buffer): boolean {
    if (!this.#open) return false;
    try {
      return this.#track.sendMessageBinary(packet);
    } catch {
      return false; // it throws when the track has just closed (WEBRTC-NOTES 8)
    }
  }

  /** Called at once when it is open already. */
  onOpen(listener: () => void): void {
    this.#openListener = listener;
    if (this.#open) listener();
  }

  /** Everything that comes: RTCP on a sending track, RTP and RTCP on a receiving one. */
  onPacket(listener: (packet: Buffer) => void): void {
    this.#packetListener = listener;
  }

  onRtcp(listener: (packet: Buffer) => void): void {
    this.#packetListener = listener;
  }

  [Symbol.dispose](): void {
    this.#openListener = undefined;
    this.#packetListener = undefined;
    this.#open = false;
    this.#track.close();
  }
}
