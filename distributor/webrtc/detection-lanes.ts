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
  readonly #lanes: DataLane[] = [];

  constructor(timeline: () => VideoTimeline | null, onSkipped: () => void) {
    this.#timeline = timeline;
    this.#onSkipped = onSkipped;
  }

  /** Begins with the timeline as soon as the lane is open. */
  add(lane: DataLane): void {
    if (this.#lanes.length === MAX_LANES) return; // a client that opens channel after channel
    this.#lanes.push(lane);
    const greet = (): void => {
      const timeline = this.#timeline();
      if (timeline) lane.send(timelineMessage(timeline));
    };
    if (lane.isOpen) greet();
    else lane.onOpen(greet);
  }

  announce(timeline: VideoTimeline): void {
    for (const lane of this.#lanes) if (lane.isOpen) lane.send(timelineMessage(timeline));
  }

  /** One message per result, JSON; skipped and counted where the channel is slow. */
  send(message: string): void {
    for (const lane of this.#lanes) {
      if (!lane.isOpen) continue;
      if (lane.bufferedBytes > MAX_BUFFERED_BYTES || !lane.send(message)) this.#onSkipped();
    }
  }
}

const timelineMessage = ({ epoch, offset }: VideoTimeline): string => JSON.stringify({ type: 'timeline', epoch, offset });
