import { PeerConnection, Video } from 'node-datachannel';
import type { DataChannel, Track } from 'node-datachannel';

export interface OfferingClientOptions {
  readonly direction: 'SendOnly' | 'RecvOnly';
  readonly ssrc?: number;
  readonly dataChannel?: string;
}

/** The other side of an engine in tests: a bare libdatachannel peer with one H.264 section (payload type 96) that offers. */
export class OfferingClient implements AsyncDisposable {
  readonly #pc: PeerConnection;
  readonly track: Track;
  readonly channel: DataChannel | null;
  readonly packets: Buffer[] = [];
  readonly messages: string[] = [];
  readonly incomingChannels: DataChannel[] = [];
  #changed: (() => void) | undefined;
  #closed = 0;
  #objects = 2;

  constructor(options: OfferingClientOptions) {
    this.#pc = new PeerConnection('client', { iceServers: [], disableAutoNegotiation: true });
    this.#pc.onStateChange((state) => { if (state === 'closed') this.#closed++; this.#changed?.(); });
    const video = new Video('0', options.direction);
    video.addH264Codec(96);
    if (options.direction === 'SendOnly') video.addSSRC(options.ssrc ?? 1234, 'client', 'stream', 'video');
    this.track = this.#pc.addTrack(video);
    this.track.onClosed(() => { this.#closed++; this.#changed?.(); });
    this.track.onOpen(() => this.#changed?.());
    this.track.onMessage((packet) => { this.packets.push(packet); this.#changed?.(); });
    this.#pc.onDataChannel((channel) => { this.incomingChannels.push(channel); this.#watch(channel, 'remote'); this.#changed?.(); });
    this.channel = options.dataChannel === undefined ? null : this.#pc.createDataChannel(options.dataChannel);
    if (this.channel) this.#watch(this.channel, 'local');
  }

  /** The offer, without candidates: the server finds this peer by its checks, as it does a browser that hides its addresses. */
  async offer(): Promise<string> {
    const gathered = Promise.withResolvers<undefined>();
    this.#pc.onGatheringStateChange((state) => { if (state === 'complete') gathered.resolve(undefined); });
    this.#pc.setLocalDescription('offer');
    await gathered.promise;
    const sdp = this.#pc.localDescription()?.sdp ?? '';
    return sdp.split('\r\n').filter((line) => !line.startsWith('a=candidate') && line !== 'a=end-of-candidates').join('\r\n');
  }

  get state(): string {
    return this.#pc.state();
  }

  answer(sdp: string): void {
    this.#pc.setRemoteDescription(sdp, 'answer');
  }

  send(packet: Buffer): boolean {
    return this.track.sendMessageBinary(packet);
  }

  /** Resolves as soon as `condition` holds, asked after every event. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => { this.#changed = resolve; });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const channel of [this.channel, ...this.incomingChannels]) channel?.close();
    this.track.close();
    this.#pc.close();
    await this.until(() => this.#closed >= this.#objects); // native code may call back until then
  }

  #watch(channel: DataChannel, origin: 'local' | 'remote'): void {
    this.#objects++;
    let open = true;
    const closed = (): void => {
      if (open) this.#closed++;
      open = false;
      this.#changed?.();
    };
    channel.onClosed(closed);
    if (origin === 'remote' && !channel.isOpen()) closed(); // on its way through the queue to here: nobody tells
    channel.onOpen(() => this.#changed?.());
    channel.onMessage((message) => { this.messages.push(typeof message === 'string' ? message : Buffer.from(message as Buffer).toString()); this.#changed?.(); });
  }
}
