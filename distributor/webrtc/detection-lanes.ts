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

interface Lane {
  readonly lane: DataLane;
  /** Opened by the viewer. */
  readonly theirs: boolean;
  /** The timeline it was told last: its opening and a new epoch may come in either order. */
  told: VideoTimeline | null;
}

/**
 * The data channels `detections` of one viewer: ours, and any the viewer opened itself. What is sent goes out once: on the viewer's
 * own while one is open, else on ours.
 */
export class DetectionLanes {
  readonly #timeline: () => VideoTimeline | null;
  readonly #onSkipped: () => void;
  readonly #lanes: Lane[] = [];

  constructor(timeline: () => VideoTimeline | null, onSkipped: () => void) {
    this.#timeline = timeline;
    this.#onSkipped = onSkipped;
  }

  /** `theirs`: the viewer opened it. It begins with the timeline as soon as it is open. */
  add(lane: DataLane, theirs: boolean): void {
    if (this.#lanes.length === MAX_LANES) return; // a client that opens channel after channel
    this.#lanes.push({ lane, theirs, told: null });
    const greet = (): void => {
      const timeline = this.#timeline();
      if (timeline) this.announce(timeline);
    };
    if (lane.isOpen) greet();
    else lane.onOpen(greet);
  }

  /** Tells every lane in use that does not know it yet. */
  announce(timeline: VideoTimeline): void {
    for (const lane of this.#inUse()) tell(lane, timeline);
  }

  /** One message per result, JSON; skipped and counted where the channel is slow. */
  send(message: string): void {
    const timeline = this.#timeline();
    for (const entry of this.#inUse()) {
      if (timeline) tell(entry, timeline); // one that comes into use again
      if (entry.lane.bufferedBytes > MAX_BUFFERED_BYTES || !entry.lane.send(message)) this.#onSkipped();
    }
  }

  #inUse(): readonly Lane[] {
    const open = this.#lanes.filter(({ lane }) => lane.isOpen);
    const theirs = open.filter((entry) => entry.theirs);
    return theirs.length > 0 ? theirs : open;
  }
}

const tell = (entry: Lane, timeline: VideoTimeline): void => {
  if (entry.told?.epoch === timeline.epoch && entry.told.offset === timeline.offset) return;
  if (entry.lane.send(timelineMessage(timeline))) entry.told = timeline;
};

const timelineMessage = ({ epoch, offset }: VideoTimeline): string => JSON.stringify({ type: 'timeline', epoch, offset });
