/**
 * Plays one camera live into a <video> with its boxes on a <canvas>: WebRTC first, LL-HLS where WebRTC cannot (B-frames, no UDP).
 * Reconnects by itself: on the end of the connection, of its data channel, or after 1.5 s without a frame.
 */
import type Hls from 'hls.js';
import { inWords } from '../api-error.ts';
import { api, detectionsUrl, mediaUrls } from '../api.ts';
import type { Camera } from '../api.ts';
import { BoxStore, TimedBoxStore } from './boxes.ts';
import type { BoxMessage, TimelineMessage } from './boxes.ts';
import { drawBoxes } from './draw.ts';
import { accessToken } from '../session.ts';
import { LIVE_HLS_SETTINGS, LOOK_MS, followLiveEdge } from './live-edge.ts';
import { Percentile } from './percentile.ts';
import { WhepPlayer, WhepRefused } from './whep.ts';

export type Mode = 'exact' | 'lowest-latency';

export interface LiveState {
  readonly status: 'connecting' | 'playing' | 'no-publisher' | 'reconnecting' | 'switched-off';
  readonly transport: 'webrtc' | 'hls' | null;
  /** In words, for the viewer: why nothing plays, or why it plays by LL-HLS. */
  readonly note: string | null;
}

export interface LiveReadout {
  readonly latencyMs: number | null;
  readonly fps: number | null;
  readonly bitrateBps: number | null;
  readonly lossPercent: number | null;
  readonly inferenceMs: number | null;
  /** From a picture's arrival at the server to its boxes here. */
  readonly boxesMs: number | null;
  readonly width: number;
  readonly height: number;
}

export interface LiveOptions {
  readonly camera: Camera;
  readonly video: HTMLVideoElement;
  readonly canvas: HTMLCanvasElement;
  readonly mode: Mode;
  readonly onState: (state: LiveState) => void;
}

const STALL_MS = 1500;
const MAX_TARGET_MS = 250;
/** The video waits for so much of the results: some frames are lost besides, and 95 % must come through. */
const BOXES_IN_TIME = 0.98;
/** A publisher that is away may be back at any moment; one that was seen a moment ago most of all. */
const NO_PUBLISHER_RETRY_MS = 1500;
const LOST_PUBLISHER_RETRY_MS = 400;
const LOST_FOR_MS = 30_000;
/** A server that starts again is met soon: a refused connection costs nothing. */
const NO_ANSWER_RETRY_MS = 500;
const MAX_RETRY_MS = 5000;
/** While the live view is switched off: how often to ask whether it is on again. */
const SWITCHED_OFF_RETRY_MS = 4000;
/** The detections socket's close code for the same. */
const SWITCHED_OFF_CLOSE = 4409;
/** So often answered and never connected: WebRTC's UDP does not get through here (a firewall, a proxy). */
const BLOCKED_AFTER = 2;
const BLOCKED = 'WebRTC does not get through to this device, so the video comes with a few seconds of delay.';
const HLS_REASONS = new Set(['B_FRAMES', 'NO_COMMON_CODEC']);

/** Counters a test or a curious person can read: `window.imageflowLive[camera]`. */
export interface OverlayCounters {
  frames: number;
  exact: number;
  held: number;
  /** Result frames received, by key seen at this viewer. */
  inferred: number;
}

export class LivePlayer {
  mode: Mode;
  readonly counters: OverlayCounters = { frames: 0, exact: 0, held: 0, inferred: 0 };
  /** Called for each presented frame with what was drawn; for tests. */
  onFrame: ((frame: { rtpTimestamp: number; how: string; labels: readonly string[] }) => void) | null = null;

  readonly #options: LiveOptions;
  #whep: WhepPlayer | null = null;
  #hls: Hls | null = null;
  #socket: WebSocket | null = null;
  #hlsReason: string | null = null;
  #hlsBytes = 0;
  #receiver: RTCRtpReceiver | null = null;
  #boxes = new BoxStore();
  #timed = new TimedBoxStore();
  #boxDelay = new Percentile(240);
  #frameTimes: number[] = [];
  #lastFrameAt = 0;
  #playedAt = -Infinity;
  #lastPresented: { rtp: number; at: number } | null = null;
  #anchor: { rtp: number; captured: number } | null = null;
  #latency: number | null = null;
  #inferenceMs: number | null = null;
  #clockOffset = 0;
  #bytes: { at: number; bytes: number; lost: number; received: number } | null = null;
  #disposed = false;
  #watch = 0;
  #retry = 0;
  #attempt = 0;
  /** Attempts in a row that were answered and never connected. */
  #unreached = 0;
  #frameCallback = 0;
  #switchedOff = false;

  constructor(options: LiveOptions) {
    this.#options = options;
    this.mode = options.mode;
  }

  start(): void {
    void api.clockOffset().then((offset) => { this.#clockOffset = offset; }).catch(() => undefined);
    const hooks = window as unknown as { imageflowLive?: Record<string, LivePlayer> };
    (hooks.imageflowLive ??= {})[this.#options.camera.id] = this;
    this.#watch = window.setInterval(() => this.#check(), LOOK_MS);
    this.#requestFrame();
    void this.#connect();
  }

  dispose(): void {
    this.#disposed = true;
    clearInterval(this.#watch);
    clearTimeout(this.#retry);
    this.#options.video.cancelVideoFrameCallback(this.#frameCallback);
    this.#close();
    const hooks = window as unknown as { imageflowLive?: Record<string, LivePlayer> };
    if (hooks.imageflowLive?.[this.#options.camera.id] === this) Reflect.deleteProperty(hooks.imageflowLive, this.#options.camera.id);
  }

  /** The camera is said to be shown again: no need to wait for the next look. */
  shownAgain(): void {
    if (!this.#switchedOff) return;
    this.#switchedOff = false;
    this.#schedule(0);
  }

  async readout(): Promise<LiveReadout> {
    const now = performance.now();
    this.#frameTimes = this.#frameTimes.filter((t) => now - t < 2000);
    let bitrateBps: number | null = null;
    let lossPercent: number | null = null;
    if (this.#whep) {
      for (const stat of (await this.#whep.pc.getStats()).values() as Iterable<Record<string, unknown>>) {
        if (stat['type'] !== 'inbound-rtp' || stat['kind'] !== 'video') continue;
        const sample = { at: now, bytes: Number(stat['bytesReceived']), lost: Number(stat['packetsLost']), received: Number(stat['packetsReceived']) };
        if (this.#bytes && sample.at > this.#bytes.at) {
          bitrateBps = ((sample.bytes - this.#bytes.bytes) * 8000) / (sample.at - this.#bytes.at);
          const lost = Math.max(0, sample.lost - this.#bytes.lost);
          const total = lost + sample.received - this.#bytes.received;
          lossPercent = total > 0 ? (100 * lost) / total : 0;
        }
        this.#bytes = sample;
      }
    } else if (this.#hls) bitrateBps = this.#hlsBitrate(now);
    return {
      latencyMs: this.#hls ? Math.round(this.#hls.latency * 1000) : this.#latency,
      fps: this.#frameTimes.length > 1 ? this.#frameTimes.length / 2 : null,
      bitrateBps, lossPercent, inferenceMs: this.#inferenceMs, boxesMs: this.#boxDelay.value(0.5),
      width: this.#options.video.videoWidth, height: this.#options.video.videoHeight,
    };
  }

  async #connect(): Promise<void> {
    if (this.#disposed) return;
    this.#close();
    this.#lastFrameAt = performance.now();
    // A further attempt changes nothing on the page: what it says stays until there is something else to say.
    if (this.#attempt++ === 0) this.#options.onState({ status: 'connecting', transport: null, note: null });
    const whep = new WhepPlayer({
      url: mediaUrls(this.#options.camera).whep,
      token: accessToken() ?? '',
      onTrack: (stream, receiver) => {
        this.#receiver = receiver;
        this.#options.video.srcObject = stream;
        void this.#options.video.play().catch(() => undefined);
      },
      onMessage: (message) => this.#onMessage(message),
      onEnd: (reason) => this.#again(reason, 300),
    });
    this.#whep = whep;
    try {
      await whep.start();
      if (this.#whep === whep) this.#lastFrameAt = performance.now() + 3000; // ICE and DTLS may take a moment on a thin link
    } catch (error) {
      if (this.#whep !== whep) return;
      whep.close();
      this.#whep = null;
      if (error instanceof WhepRefused) {
        if (error.code === 'DISTRIBUTION_OFF') { this.#waitUntilShown(); return; }
        if (HLS_REASONS.has(error.code)) { await this.#playHls(error.message); return; }
        if (error.status === 409 || error.status === 404) {
          this.#attempt = 1;
          this.#options.onState({ status: 'no-publisher', transport: null, note: null });
          this.#schedule(performance.now() - this.#playedAt < LOST_FOR_MS ? LOST_PUBLISHER_RETRY_MS : NO_PUBLISHER_RETRY_MS);
          return;
        }
        if (error.status === 401) await api.cameras().catch(() => undefined); // refreshes the token or signs out
      }
      this.#again(inWords(error), this.#pauseAfter(error));
    }
  }

  /** Switched off by an operator: says so, leaves no picture behind, and asks gently until it is on again. */
  #waitUntilShown(): void {
    const { video, canvas, camera, onState } = this.#options;
    this.#switchedOff = true;
    this.#attempt = 1;
    this.#unreached = 0;
    video.srcObject = null;
    canvas.getContext('2d')?.clearRect(0, 0, canvas.width, canvas.height);
    onState({ status: 'switched-off', transport: null, note: 'Somebody in charge has switched it off. It is shown here again once it is switched on.' });
    clearTimeout(this.#retry);
    const look = async (): Promise<void> => {
      const state = await api.camera(camera.id).then(({ distribution }) => distribution.state, () => 'off' as const);
      if (this.#disposed || !this.#switchedOff) return;
      if (state === 'on') this.shownAgain();
      else this.#retry = window.setTimeout(() => void look(), SWITCHED_OFF_RETRY_MS);
    };
    this.#retry = window.setTimeout(() => void look(), SWITCHED_OFF_RETRY_MS);
  }

  #pauseAfter(error: unknown): number {
    // A TypeError is what `fetch` throws when nothing answers; not all viewers of a wall shall knock at the same moment.
    if (error instanceof TypeError) return NO_ANSWER_RETRY_MS * (0.75 + Math.random() / 2);
    const asked = error instanceof WhepRefused ? error.retryAfterSeconds * 1000 : 0;
    return Math.min(MAX_RETRY_MS, Math.max(asked, 500 * 2 ** Math.min(this.#attempt, 4)));
  }

  async #playHls(reason: string): Promise<void> {
    const { default: HlsPlayer } = await import('hls.js');
    if (this.#disposed) return;
    const hls = new HlsPlayer({ ...LIVE_HLS_SETTINGS, xhrSetup: (xhr) => xhr.setRequestHeader('authorization', `Bearer ${accessToken() ?? ''}`) });
    this.#hls = hls;
    this.#hlsReason = reason;
    this.#hlsBytes = 0;
    hls.on(HlsPlayer.Events.BUFFER_APPENDING, (_event, { data }) => { this.#hlsBytes += data.byteLength; });
    hls.on(HlsPlayer.Events.ERROR, (_event, data) => { if (data.fatal) this.#again(data.details, 1000); });
    this.#options.video.srcObject = null; // of an earlier WebRTC play: it would go before the source that hls.js sets
    hls.loadSource(mediaUrls(this.#options.camera).hls);
    hls.attachMedia(this.#options.video);
    void this.#options.video.play().catch(() => undefined);
    this.#lastFrameAt = performance.now() + 8000;
    const socket = new WebSocket(detectionsUrl(this.#options.camera), [`bearer.${accessToken() ?? ''}`]);
    socket.onmessage = (event: MessageEvent<string>) => this.#onMessage(JSON.parse(event.data) as BoxMessage);
    socket.onclose = ({ code }) => { if (code === SWITCHED_OFF_CLOSE && this.#socket === socket) this.#again('the live view was switched off', 0); };
    this.#socket = socket;
    this.#lastPresented = null;
    this.#options.onState({ status: 'connecting', transport: 'hls', note: reason });
  }

  #onMessage(message: BoxMessage | TimelineMessage): void {
    if (message.type === 'timeline') { this.#boxes.timeline(message); return; }
    this.#inferenceMs = message.inference_ms;
    if (this.#hls) {
      this.counters.inferred++;
      this.#timed.add(message);
      this.#boxDelay.add(Date.now() + this.#clockOffset - Date.parse(message.captured_at));
      return;
    }
    const key = this.#boxes.add(message);
    if (key === null) return;
    this.counters.inferred++;
    this.#anchor = { rtp: key, captured: Date.parse(message.captured_at) };
    // How long after its frame could have been shown did the box come? Measured against the newest presented frame without our own delay.
    this.#boxDelay.add(Date.now() + this.#clockOffset - Date.parse(message.captured_at));
    this.#aim();
  }

  /** Mode *exact*: hold the video back until its boxes are here (D-7). */
  #aim(): void {
    if (!this.#receiver || !('jitterBufferTarget' in this.#receiver)) return;
    const delay = this.#boxDelay.value(BOXES_IN_TIME);
    const frameMs = 1000 / Math.max(5, this.#frameTimes.length / 2 || 30);
    const target = this.mode === 'exact' && delay !== null ? Math.min(MAX_TARGET_MS, Math.max(0, Math.ceil((delay + frameMs) / 10) * 10)) : null;
    if (this.#receiver.jitterBufferTarget !== target) this.#receiver.jitterBufferTarget = target;
  }

  /** Of what was appended since the last look; a part comes every 200 ms, so a second's worth jumps a little. */
  #hlsBitrate(now: number): number | null {
    const before = this.#bytes;
    this.#bytes = { at: now, bytes: this.#hlsBytes, lost: 0, received: 0 };
    return before && now > before.at ? ((this.#hlsBytes - before.bytes) * 8000) / (now - before.at) : null;
  }

  #requestFrame(): void {
    this.#frameCallback = this.#options.video.requestVideoFrameCallback((now, metadata) => {
      if (this.#disposed) return;
      this.#present(now, metadata);
      this.#requestFrame();
    });
  }

  #present(now: number, metadata: VideoFrameCallbackMetadata): void {
    if (!this.#hls && this.#whep?.reach !== 'connected') return; // a change of source is reported as a frame, too
    this.#lastFrameAt = Math.max(now, performance.now());
    this.#frameTimes.push(now);
    if (this.#frameTimes.length > 300) this.#frameTimes.splice(0, 150);
    this.counters.frames++;
    this.#playedAt = this.#lastFrameAt;
    const transport = this.#hls ? 'hls' : 'webrtc';
    if (this.counters.frames === 1 || this.#lastPresented === null) {
      this.#attempt = 1;
      this.#options.onState({ status: 'playing', transport, note: this.#hls ? this.#hlsReason : null });
    }
    const rtp = metadata.rtpTimestamp;
    this.#lastPresented = { rtp: rtp ?? 0, at: now };
    const { video, canvas } = this.#options;
    if (this.#hls || rtp === undefined) {
      const playing = this.#hls?.playingDate?.getTime();
      const wall = playing === undefined ? null : playing + (metadata.mediaTime - video.currentTime) * 1000;
      const shown = wall === null ? null : this.#timed.at(wall, 1000 / 30);
      this.#count(shown?.how);
      drawBoxes(canvas, video, shown?.messages ?? [], { how: shown?.how ?? 'exact' });
      return;
    }
    if (this.#anchor) {
      const captured = this.#anchor.captured + ((rtp - this.#anchor.rtp) | 0) / 90;
      const shownAt = performance.timeOrigin + (metadata.expectedDisplayTime || now);
      const latency = shownAt + this.#clockOffset - captured;
      this.#latency = this.#latency === null ? latency : this.#latency + (latency - this.#latency) / 10;
    }
    const shown = this.#boxes.at(rtp);
    this.#count(shown?.how);
    if (shown || this.mode === 'exact') drawBoxes(canvas, video, shown?.messages ?? [], { how: shown?.how ?? 'exact' });
    else {
      const newest = this.#boxes.newest(rtp);
      drawBoxes(canvas, video, newest && newest.ageMs < 1000 ? newest.messages : [], { how: 'late' });
    }
    this.onFrame?.({ rtpTimestamp: rtp, how: shown?.how ?? 'none', labels: shown?.messages.flatMap((m) => m.detections.map((d) => d.class_name)) ?? [] });
  }

  #count(how: 'exact' | 'held' | undefined): void {
    if (how === 'exact') this.counters.exact++;
    if (how === 'held') this.counters.held++;
  }

  #check(): void {
    if (this.#hls) followLiveEdge(this.#hls, this.#options.video);
    if (document.hidden || this.#options.video.paused) { this.#lastFrameAt = Math.max(this.#lastFrameAt, performance.now()); return; }
    if ((this.#whep || this.#hls) && performance.now() - this.#lastFrameAt > STALL_MS) this.#probe();
  }

  /** No frame for a while: is the publisher away (the server keeps us) or the server gone? */
  #probe(): void {
    this.#lastFrameAt = performance.now() + 1500;
    const lane = this.#whep?.pc.connectionState;
    void api.camera(this.#options.camera.id).then((camera) => {
      if (this.#disposed) return;
      const phase = camera.session?.phase;
      if (phase === 'live' && lane !== undefined) this.#again('no picture came', 0);
      else if (phase === undefined || phase === 'ended') this.#again('the camera stopped', 0);
      else this.#options.onState({ status: 'reconnecting', transport: this.#hls ? 'hls' : 'webrtc', note: 'The camera is away; it may come back to this picture.' });
      this.#lastPresented = null;
    }).catch(() => this.#again('the server does not answer', 1000));
  }

  #again(reason: string, delayMs: number): void {
    if (this.#disposed) return;
    if (this.#whep?.reach === 'unreached') this.#unreached++;
    else if (this.#whep?.reach === 'connected') this.#unreached = 0;
    this.#close();
    if (this.#unreached >= BLOCKED_AFTER) {
      this.#unreached = BLOCKED_AFTER - 1; // when that ends, WebRTC gets one more chance
      this.#playHls(BLOCKED).catch(() => { this.#schedule(MAX_RETRY_MS); });
      return;
    }
    this.#options.onState({ status: 'reconnecting', transport: null, note: reason });
    this.#schedule(delayMs);
  }

  #schedule(delayMs: number): void {
    clearTimeout(this.#retry);
    this.#retry = window.setTimeout(() => void this.#connect(), delayMs);
  }

  #close(): void {
    this.#whep?.close();
    this.#hls?.destroy();
    this.#options.video.playbackRate = 1;
    this.#socket?.close();
    this.#whep = null;
    this.#hls = null;
    this.#socket = null;
    this.#receiver = null;
    this.#boxes = new BoxStore();
    this.#timed = new TimedBoxStore();
    this.#anchor = null;
    this.#latency = null;
    this.#bytes = null;
    this.#lastPresented = null;
  }
}
