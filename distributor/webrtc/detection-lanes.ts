import type { DataLane } from '../../transport/webrtc/port.ts';

/** The label of the data channel that carries detections (contract 0.4). */
export const DETECTIONS_LABEL = 'detections';
/** A channel with more than this unsent is slow: boxes of the past are of no use to it. */
const MAX_BUFFERED_BYTES = 256 << 10;
const MAX_LANES = 4;

/** Which camera timestamps the viewer's RTP timestamps stand for: egress = camera + offset, modulo 2^32. */
export interface VideoTimeline {
  readonly epoch: number;
  readonly offset: number;
}

/** The data channels `detections` of one viewer: ours, and one the viewer opened itself. */
export class DetectionLanes {
  readonly #timeline: () => VideoTimeline | null;
  readonly #onSkipped: () => void;
  /** Each with the timeline it was told last: its opening and a new epoch may come in either order. */
  readonly #lanes: { readonly lane: DataLane; told: VideoTimeline | null }[] = [];

  constructor(timeline: () => VideoTimeline | null, onSkipped: () => void) {
    this.#timeline = timeline;
    this.#onSkipped = onSkipped;
  }

  /** Begins with the timeline as soon as the lane is open. */
  add(lane: DataLane): void {
    if (this.#lanes.length === MAX_LANES) return; // a client that opens channel after channel
    this.#lanes.push({ lane, told: null });
    const greet = (): void => {
      const timeline = this.#timeline();
      if (timeline) this.announce(timeline);
    };
    if (lane.isOpen) greet();
    else lane.onOpen(greet);
  }

  /** Tells every open lane that does not know it yet. */
  announce(timeline: VideoTimeline): void {
    for (const entry of this.#lanes) {
      if (!entry.lane.isOpen || (entry.told?.epoch === timeline.epoch && entry.told.offset === timeline.offset)) continue;
      if (entry.lane.send(timelineMessage(timeline))) entry.told = timeline;
    }
  }

  /** One message per result, JSON; skipped and counted where the channel is slow. */
  send(message: string): void {
    for (const { lane } of this.#lanes) {
      if (!lane.isOpen) continue;
      if (lane.bufferedBytes > MAX_BUFFERED_BYTES || !lane.send(message)) this.#onSkipped();
    }
  }
}

const timelineMessage = ({ epoch, offset }: VideoTimeline): string => JSON.stringify({ type: 'timeline', epoch, offset });
