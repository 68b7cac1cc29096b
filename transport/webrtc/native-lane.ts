import type { DataChannel } from 'node-datachannel';
import type { Logger } from '../../platform/logging.ts';
import { guard } from './guard.ts';
import type { DataLane } from './port.ts';

/** A data channel of libdatachannel. */
export class NativeLane implements DataLane, Disposable {
  readonly label: string;
  readonly #channel: DataChannel;
  /** Native code holds the notice for ever if it never gives it, so the notice lets go of everything once it has been given. */
  readonly #notice: { closed: (() => void) | undefined };
  #openListener: (() => void) | undefined;
  #messageListener: ((message: string | Buffer) => void) | undefined;

  /** `onClosed` is called once, when native code will not call back any more. */
  constructor(channel: DataChannel, logger: Logger, onClosed: () => void) {
    this.#channel = channel;
    this.label = channel.getLabel();
    const notice: { closed: (() => void) | undefined } = { closed: onClosed };
    this.#notice = notice;
    channel.onClosed(guard(logger, () => { tell(notice); })); // without this listener the binding leaks the channel (and keeps the process alive)
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

  /**
   * For a channel of the other side: it is open when native code hands it over, unless it was closed on its way through the queue to
   * here. Then the listener came too late and nobody tells.
   */
  expectOpen(): void {
    if (!this.#channel.isOpen()) tell(this.#notice);
  }

  [Symbol.dispose](): void {
    this.#openListener = undefined;
    this.#messageListener = undefined;
    this.#channel.close();
  }
}

const tell = (notice: { closed: (() => void) | undefined }): void => {
  const { closed } = notice;
  notice.closed = undefined;
  closed?.();
};
