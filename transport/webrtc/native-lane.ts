import type { DataChannel } from 'node-datachannel';
import type { Logger } from '../../platform/logging.ts';
import { guard } from './guard.ts';
import type { DataLane } from './port.ts';

/** A data channel of libdatachannel. */
export class NativeLane implements DataLane, Disposable {
  readonly label: string;
  readonly #channel: DataChannel;
  #openListener: (() => void) | undefined;
  #messageListener: ((message: string | Buffer) => void) | undefined;

  /** `onClosed` is called once, when native code will not call back any more. */
  constructor(channel: DataChannel, logger: Logger, onClosed: () => void) {
    this.#channel = channel;
    this.label = channel.getLabel();
    channel.onClosed(guard(logger, onClosed)); // without this listener the binding leaks the channel (and keeps the process alive)
    channel.onError(() => undefined);
    channel.onOpen(guard(logger, () => { this.#openListener?.(); }));
    channel.onMessage(guard(logger, (message) => {
      this.#messageListener?.(message instanceof ArrayBuffer ? Buffer.from(message) : message);
    }));
  }

  get isOpen(): boolean {
    return this.#channel.isOpen();
  }

  get bufferedBytes(): number {
    return this.isOpen ? this.#channel.bufferedAmount() : 0;
  }

  send(text: string): boolean {
    try {
      return this.#channel.isOpen() && this.#channel.sendMessage(text);
    } catch {
      return false; // it closed between the question and the call, or the message is larger than the other side takes
    }
  }

  /** Called at once when it is open already. */
  onOpen(listener: () => void): void {
    this.#openListener = listener;
    if (this.isOpen) listener();
  }

  onMessage(listener: (message: string | Buffer) => void): void {
    this.#messageListener = listener;
  }

  [Symbol.dispose](): void {
    this.#openListener = undefined;
    this.#messageListener = undefined;
    this.#channel.close();
  }
}
