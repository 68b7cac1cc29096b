import type { CameraId } from '../core/frame-ref.ts';
import type { Tracks } from '../core/track.ts';
import type { Milliseconds } from '../core/units.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { PublishProtocol, Refused, SessionStats, TransportStats } from './port.ts';
import type { StreamMeter } from './stream-meter.ts';

export const NO_TRANSPORT: TransportStats = { bytes: 0, packets: 0, lostPackets: 0, jitterMs: null, rttMs: null, nacksSent: 0, plisSent: 0 };

/** Counts of two publishers of one session added up; jitter and round trip are the later one's. */
export const addTransport = (former: TransportStats, current: TransportStats): TransportStats => ({
  bytes: former.bytes + current.bytes,
  packets: former.packets + current.packets,
  lostPackets: former.lostPackets + current.lostPackets,
  jitterMs: current.jitterMs,
  rttMs: current.rttMs,
  nacksSent: former.nacksSent + current.nacksSent,
  plisSent: former.plisSent + current.plisSent,
  refused: addRefused(former.refused, current.refused),
});

const NOTHING: Refused = { malformed: 0, damaged: 0, awaiting_random_access: 0, audio_out_of_order: 0 };
const REASONS = Object.keys(NOTHING) as readonly (keyof Refused)[];
const addRefused = (a: Refused = NOTHING, b: Refused = NOTHING): Refused => ({
  malformed: a.malformed + b.malformed,
  damaged: a.damaged + b.damaged,
  awaiting_random_access: a.awaiting_random_access + b.awaiting_random_access,
  audio_out_of_order: a.audio_out_of_order + b.audio_out_of_order,
});

/** The transport's numbers and what the stream saw itself, as ING-7 wants them. */
export const toSessionStats = (transport: TransportStats, meter: StreamMeter, tracks: Tracks | null, now: Milliseconds): SessionStats => ({
  bytes: transport.bytes,
  packets: transport.packets,
  lostPackets: transport.lostPackets,
  accessUnits: meter.videoUnits,
  ...meter.rates(now),
  jitterMs: transport.jitterMs,
  rttMs: transport.rttMs,
  nacksSent: transport.nacksSent,
  plisSent: transport.plisSent,
  keyframeIntervalMs: meter.keyframeIntervalMs,
  videoCodec: tracks?.video?.codecString ?? null,
  audioCodec: tracks?.audio?.codecString ?? null,
  width: tracks?.video?.width ?? null,
  height: tracks?.video?.height ?? null,
});

/** Carries one session's growing numbers into the process's counters, now and then instead of per packet. */
export class SessionCounters {
  readonly #metrics: Metrics;
  readonly #camera: CameraId;
  #bytes = 0;
  #lost = 0;
  #units = 0;
  #refused: Refused = NOTHING;

  constructor(metrics: Metrics, camera: CameraId) {
    this.#metrics = metrics;
    this.#camera = camera;
  }

  update(protocol: PublishProtocol, transport: TransportStats, videoUnits: number): void {
    const camera = this.#camera;
    // A loss estimate may shrink when a late packet comes; a counter may not.
    const lost = Math.max(this.#lost, transport.lostPackets);
    this.#metrics.ingestBytes.inc({ camera, protocol }, Math.max(0, transport.bytes - this.#bytes));
    this.#metrics.ingestLostPackets.inc({ camera }, lost - this.#lost);
    this.#metrics.accessUnits.inc({ camera }, videoUnits - this.#units);
    this.#bytes = Math.max(this.#bytes, transport.bytes);
    this.#lost = lost;
    this.#units = videoUnits;
    const refused = transport.refused ?? NOTHING;
    for (const reason of REASONS) if (refused[reason] > this.#refused[reason]) this.#metrics.ingestRefused.inc({ camera, reason }, refused[reason] - this.#refused[reason]);
    this.#refused = refused;
  }
}
