import type { Clock } from '../../core/clock.ts';
import { MediaError } from '../../core/errors.ts';
import type { CameraId } from '../../core/frame-ref.ts';
import type { SessionDescription } from '../../core/sdp/description.ts';
import type { Tracks } from '../../core/track.ts';
import type { DetectionSource } from '../../extractor/port.ts';
import type { StreamRegistry, WatchedStream } from '../../ingest/port.ts';
import type { Authorizer, Distribution, Principal } from '../../media-control/port.ts';
import type { Logger } from '../../platform/logging.ts';
import type { Metrics } from '../../platform/metrics.ts';
import type { WebRtcEngine, WebRtcPeer } from '../../transport/webrtc/port.ts';
import { DetectionsFanout } from '../annotations/detections-fanout.ts';
import { distributionOff } from '../distribution-off.ts';
import { CameraEgress } from './camera-egress.ts';
import { negotiatePlay } from './play-negotiation.ts';
import type { PlayNegotiation, PlayTrack } from './play-negotiation.ts';
import { ViewerTrack } from './viewer-track.ts';
import { Viewer } from './viewer.ts';

export interface WhepEgressOptions {
  readonly engine: WebRtcEngine;
  readonly streams: StreamRegistry<WatchedStream>;
  /**
   * Streams that are made on demand: makes the camera's be there, with its tracks, until disposed of. Rejects with what a viewer is to be told. Absent: they are there as
   * long as their cameras.
   */
  readonly summon?: (camera: CameraId, signal: AbortSignal) => Promise<Disposable>;
  /** `imageflow_viewers{protocol}`. */
  readonly protocol: 'webrtc' | 'webrtc-annotated';
  readonly authorizer: Pick<Authorizer, 'onRevoked'>;
  readonly detections: DetectionSource;
  readonly distribution: Distribution;
  /** `limits.viewers_per_camera`. */
  readonly viewersPerCamera: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'viewers' | 'forwardAdded' | 'branchDropped'>;
  /** 0..2^32−1, unpredictable. */
  readonly random: () => number;
  /** A new unguessable session id. */
  readonly newId: () => string;
}

/** One viewer's session as its HTTP resource sees it. */
export interface WhepSession {
  readonly id: string;
  readonly camera: CameraId;
  readonly offerUfrag: string | null;
  /** Mid of the first section: candidates without one belong to it. */
  readonly firstMid: string;
  readonly viewer: Viewer;
}

/** What a viewer posted. */
export interface PlayRequest {
  /** As it came, and what was read from it. */
  readonly text: string;
  readonly offer: SessionDescription;
  /** As in `PeerPlan`. */
  readonly clientAddress: string | null;
}

interface Entry extends WhepSession {
  readonly principalId: string;
  readonly startedAt: number;
  readonly subscription: Disposable;
  /** Of a stream made on demand. */
  readonly held: Disposable;
}

const NOTHING: Disposable = { [Symbol.dispose]: () => undefined };
const BUSY_RETRY_SECONDS = 5;
const NO_PUBLISHER_RETRY_SECONDS = 2;

/** All WebRTC viewers of this edge. Disposing closes them. */
export class WhepEgress implements Disposable {
  readonly #options: WhepEgressOptions;
  readonly #fanout: DetectionsFanout;
  readonly #cameras = new Map<CameraId, { readonly stream: WatchedStream; readonly egress: CameraEgress }>();
  readonly #sessions = new Map<string, Entry>();
  /** Sessions and offers being accepted, by camera. */
  readonly #taken = new Map<CameraId, number>();
  readonly #resources = new DisposableStack();

  constructor(options: WhepEgressOptions) {
    this.#options = options;
    this.#fanout = new DetectionsFanout(options.detections);
    this.#resources.use(options.streams.onRemoved((camera) => { this.#removeCamera(camera); }));
    this.#resources.use(options.distribution.onSwitched((camera) => { if (options.distribution.isOff(camera)) this.#end(camera, 'distribution switched off'); }));
    this.#resources.use(options.authorizer.onRevoked((id) => { this.#revoke(id); }));
  }

  /** Viewers of a camera now. */
  viewers(camera: CameraId): number {
    let count = 0;
    for (const session of this.#sessions.values()) if (session.camera === camera) count++;
    return count;
  }

  session(camera: CameraId, id: string): WhepSession | undefined {
    const session = this.#sessions.get(id);
    return session?.camera === camera ? session : undefined;
  }

  /**
   * Answers a viewer's offer; the media flow as soon as it has connected. Throws NOT_FOUND (no such camera), FAILED_PRECONDITION
   * `DISTRIBUTION_OFF` or `NO_PUBLISHER`, NOT_ACCEPTABLE (`negotiatePlay`), UNAVAILABLE `VIEWER_LIMIT`, INVALID_ARGUMENT (the engine refuses the offer), and what
   * `summon` rejects with.
   */
  async play(camera: CameraId, request: PlayRequest, principal: Principal, signal: AbortSignal): Promise<{ readonly session: WhepSession; readonly answer: string }> {
    const { summon, distribution } = this.#options;
    if (!summon) return this.#play(camera, request, principal, signal, NOTHING);
    if (distribution.isOff(camera)) throw distributionOff(camera);
    const held = await summon(camera, signal);
    try {
      return await this.#play(camera, request, principal, signal, held);
    } catch (error) {
      held[Symbol.dispose]();
      throw error;
    }
  }

  async #play(camera: CameraId, request: PlayRequest, principal: Principal, signal: AbortSignal, held: Disposable): Promise<{ readonly session: WhepSession; readonly answer: string }> {
    const stream = this.#options.streams.get(camera);
    if (!stream) throw new MediaError('NOT_FOUND', 'There is no such camera.', { context: { camera } });
    if (this.#options.distribution.isOff(camera)) throw distributionOff(camera);
    const { offer } = request;
    const negotiation = negotiatePlay(offer, publishedTracks(stream), camera);
    this.#reserve(camera);
    try {
      const egress = this.#egress(stream);
      const id = this.#options.newId();
      const peer = await this.#accept(id, camera, request, negotiation, egress);
      if (signal.aborted || this.#resources.disposed || this.#options.streams.get(camera) !== stream) {
        peer[Symbol.dispose]();
        throw new MediaError('UNAVAILABLE', 'The viewer or the camera left while the offer was being answered.');
      }
      if (this.#options.distribution.isOff(camera)) {
        peer[Symbol.dispose]();
        throw distributionOff(camera);
      }
      const answer = negotiation.answer(peer.transport, (track) => ({
        ssrc: egress[track.kind].ssrc,
        rtxSsrc: track.codec.rtxPayloadType === null ? null : egress[track.kind].rtxSsrc,
        cname: camera, stream: camera, track: track.kind,
      }));
      const firstMid = offer.media.find((media) => media.mid !== null)?.mid ?? '0';
      return { session: this.#open({ id, camera, firstMid, offerUfrag: offer.media[0]?.iceUfrag ?? null, peer, negotiation, egress, principal, held }), answer };
    } catch (error) {
      this.#release(camera);
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
    for (const session of [...this.#sessions.values()]) session.viewer.close('server stops');
    for (const { egress } of this.#cameras.values()) egress[Symbol.dispose]();
    this.#cameras.clear();
  }

  #accept(id: string, camera: CameraId, { text, clientAddress }: PlayRequest, negotiation: PlayNegotiation, egress: CameraEgress): Promise<WebRtcPeer> {
    return this.#options.engine.accept({
      name: `whep ${camera} ${id}`,
      offer: text,
      clientAddress,
      send: negotiation.tracks.map(({ kind, mid, codec }: PlayTrack) => ({
        mid, kind,
        payloadType: codec.payloadType,
        rtpmap: codec.rtpmap,
        fmtp: codec.fmtp,
        ssrc: egress[kind].ssrc,
        rtxSsrc: codec.rtxPayloadType === null ? null : egress[kind].rtxSsrc,
      })),
      receive: null,
      dataChannels: negotiation.dataChannels,
    });
  }

  #open(parts: { readonly id: string; readonly camera: CameraId; readonly firstMid: string; readonly offerUfrag: string | null; readonly peer: WebRtcPeer; readonly negotiation: PlayNegotiation; readonly egress: CameraEgress; readonly principal: Principal; readonly held: Disposable }): WhepSession {
    const { id, camera, peer, negotiation, egress } = parts;
    const { clock, metrics, random, logger } = this.#options;
    const tracks = negotiation.tracks.flatMap((track) => {
      const sender = peer.tracks.find((t) => t.mid === track.mid);
      return sender ? [new ViewerTrack(track, sender, random() & 0x7fff)] : [];
    });
    const viewer = new Viewer({
      id, peer, tracks, egress, clock,
      dataChannels: negotiation.dataChannels,
      onSkippedDetections: () => { metrics.branchDropped.inc({ camera, branch: 'detections', reason: 'slow_channel' }); },
      onClosed: (closed, reason) => { this.#closed(closed, reason); },
    });
    const subscription = negotiation.dataChannels ? this.#fanout.subscribe(camera, (message) => { viewer.lanes.send(message); }) : NOTHING;
    const entry: Entry = { id, camera, firstMid: parts.firstMid, offerUfrag: parts.offerUfrag, viewer, principalId: parts.principal.id, startedAt: clock.monotonic(), subscription, held: parts.held };
    this.#sessions.set(id, entry);
    this.#countViewers(camera);
    logger.info({ camera, viewer: id, principal: entry.principalId, tracks: tracks.map((track) => track.codec.rtpmap) }, 'viewer accepted');
    viewer.begin();
    return entry;
  }

  #closed(viewer: Viewer, reason: string): void {
    const entry = this.#sessions.get(viewer.id);
    if (!entry) return;
    this.#sessions.delete(viewer.id);
    entry.subscription[Symbol.dispose]();
    entry.held[Symbol.dispose]();
    this.#release(entry.camera);
    this.#countViewers(entry.camera);
    const { clock, logger } = this.#options;
    const seconds = Math.round((clock.monotonic() - entry.startedAt) / 1000);
    const sent = viewer.tracks.map((track) => ({ kind: track.kind, ...track.counters }));
    logger.info({ camera: entry.camera, viewer: viewer.id, reason, seconds, sent, ...viewer.feedback.stats }, 'viewer left');
  }

  #egress(stream: WatchedStream): CameraEgress {
    const known = this.#cameras.get(stream.camera);
    if (known?.stream === stream) return known.egress;
    known?.egress[Symbol.dispose]();
    const { clock, metrics, random } = this.#options;
    const egress = new CameraEgress({ stream, clock, metrics, random });
    this.#cameras.set(stream.camera, { stream, egress });
    return egress;
  }

  #reserve(camera: CameraId): void {
    const taken = this.#taken.get(camera) ?? 0;
    if (taken >= this.#options.viewersPerCamera) {
      throw new MediaError('UNAVAILABLE', 'This camera has as many viewers as it may have.', { reason: 'VIEWER_LIMIT', retryAfterSeconds: BUSY_RETRY_SECONDS, context: { camera, limit: this.#options.viewersPerCamera } });
    }
    this.#taken.set(camera, taken + 1);
  }

  #release(camera: CameraId): void {
    const taken = (this.#taken.get(camera) ?? 1) - 1;
    if (taken > 0) this.#taken.set(camera, taken);
    else this.#taken.delete(camera);
  }

  #countViewers(camera: CameraId): void {
    this.#options.metrics.viewers.set({ camera, protocol: this.#options.protocol }, this.viewers(camera));
  }

  #removeCamera(camera: CameraId): void {
    this.#end(camera, 'camera removed');
    this.#cameras.get(camera)?.egress[Symbol.dispose]();
    this.#cameras.delete(camera);
    this.#options.metrics.viewers.remove({ camera, protocol: this.#options.protocol });
  }

  #end(camera: CameraId, reason: string): void {
    for (const session of [...this.#sessions.values()]) if (session.camera === camera) session.viewer.close(reason);
  }

  #revoke(principalId: string): void {
    for (const session of [...this.#sessions.values()]) if (session.principalId === principalId) session.viewer.close('credential revoked');
  }
}

/** The tracks of a stream somebody publishes; within the grace time those of the publisher who may return. */
const publishedTracks = (stream: WatchedStream): Tracks => {
  const { session, tracks } = stream;
  if (session && session.phase !== 'ended' && tracks) return tracks;
  throw new MediaError('FAILED_PRECONDITION', 'Nobody publishes this camera now.', { reason: 'NO_PUBLISHER', retryAfterSeconds: NO_PUBLISHER_RETRY_SECONDS, context: { camera: stream.camera } });
};
