import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { IceUdpMuxListener } from 'node-datachannel';
import type { RtcConfig } from 'node-datachannel';
import type { Clock } from '../../core/clock.ts';
import { MediaError, messageOf } from '../../core/errors.ts';
import type { Logger } from '../../platform/logging.ts';
import { hostCandidates } from './candidates.ts';
import { NativePeer } from './native-peer.ts';
import type { PeerPlan, WebRtcEngine, WebRtcPeer } from './port.ts';
import { probeUdpPort } from './udp-port.ts';

export interface NdcEngineOptions {
  /** `webrtc.port`; 0 = any free one. */
  readonly port: number;
  /** The address to bind; a wildcard serves all addresses of the machine. */
  readonly bind: string;
  /** `webrtc.additional_hosts`: addresses, or names that are resolved once, at start. */
  readonly additionalHosts: readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
}

const RELEASE_DEADLINE_MS = 2_000;

/** The engine port on node-datachannel (libdatachannel): every peer on one UDP port. WEBRTC-NOTES has what it does and what bites. */
export class NdcEngine implements WebRtcEngine {
  readonly port: number;
  readonly #options: NdcEngineOptions;
  readonly #config: RtcConfig;
  readonly #extraCandidates: { readonly always: readonly string[]; readonly alone: readonly string[] };
  /**
   * Holds the port while there is no peer. A port that another process took meanwhile would end ours: libdatachannel throws across
   * the binding when it cannot bind.
   */
  readonly #holder: IceUdpMuxListener;
  /** Peers whose native side may still call back: garbage collection before that is a use after free in the binding. */
  readonly #peers = new Set<NativePeer>();
  #idle: (() => void) | undefined;
  #disposed = false;

  private constructor(options: NdcEngineOptions, port: number, holder: IceUdpMuxListener, additional: readonly string[]) {
    this.port = port;
    this.#options = options;
    this.#holder = holder;
    this.#config = {
      iceServers: [],
      disableAutoNegotiation: true,
      enableIceUdpMux: true,
      portRangeBegin: port,
      portRangeEnd: port,
      bindAddress: options.bind,
    };
    // The transport never lists loopback: a machine without a network still has it.
    this.#extraCandidates = { always: hostCandidates(additional, port), alone: hostCandidates([isIP(options.bind) === 6 ? '::1' : '127.0.0.1'], port) };
  }

  /** Rejects when the port is taken, the address is not this machine's, or an additional host has no address. */
  static async start(options: NdcEngineOptions): Promise<NdcEngine> {
    const additional = await Promise.all(options.additionalHosts.map(addressOf));
    const port = await probeUdpPort(options.port, options.bind);
    const holder = new IceUdpMuxListener(port, options.bind);
    return new NdcEngine(options, port, holder, additional);
  }

  get peerCount(): number {
    return this.#peers.size;
  }

  async accept(plan: PeerPlan): Promise<WebRtcPeer> {
    if (this.#disposed) throw new MediaError('UNAVAILABLE', 'The server is stopping.', { retryAfterSeconds: 5 });
    const peer = new NativePeer({
      plan,
      config: this.#config,
      clock: this.#options.clock,
      logger: this.#options.logger,
      extraCandidates: this.#extraCandidates,
      onReleased: (released) => {
        this.#peers.delete(released);
        if (this.#peers.size === 0) this.#idle?.();
      },
    });
    this.#peers.add(peer);
    try {
      await peer.answer();
      return peer;
    } catch (error) {
      peer[Symbol.dispose]();
      throw error;
    }
  }

  /** Closes every peer and frees the port. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const peer of this.#peers) peer[Symbol.dispose]();
    if (this.#peers.size > 0) {
      await new Promise<void>((resolve) => {
        const deadline = this.#options.clock.after(RELEASE_DEADLINE_MS, () => {
          this.#options.logger.warn({ peers: this.#peers.size }, 'webrtc peers did not close in time');
          resolve();
        });
        this.#idle = () => { deadline[Symbol.dispose](); resolve(); };
      });
    }
    this.#holder.stop();
  }
}

/** An address as it is, a name resolved. */
const addressOf = async (host: string): Promise<string> => {
  if (isIP(host) !== 0) return host;
  try {
    return (await lookup(host)).address;
  } catch (error) {
    throw new Error(`webrtc.additional_hosts: ${host} has no address: ${messageOf(error)}`, { cause: error });
  }
};
