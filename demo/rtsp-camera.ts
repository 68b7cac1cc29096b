/** A camera for the demo and for tests: pushes a clip in a loop by RTSP over TCP, in real time, as a camera would. */
import { H264Packetizer } from '../core/rtp/h264-packetizer.ts';
import { systemClock } from '../core/clock.ts';
import type { Clip } from './mp4-clip.ts';
import { RtspPublication } from './rtsp-publication.ts';
import type { PublicationTarget } from './rtsp-publication.ts';

const MAX_PAYLOAD = 1400;
const PAYLOAD_TYPE = 96;

export interface RtspCameraOptions extends PublicationTarget {
  readonly clip: Clip;
  /** Called for each picture sent, with its RTP timestamp and its index in the clip. */
  readonly onPicture?: (rtpTimestamp: number, index: number) => void;
}

export class RtspCamera implements Disposable {
  readonly #options: RtspCameraOptions;
  readonly #publication: RtspPublication;
  readonly #timer: Disposable;
  #index = 0;
  #loops = 0;
  readonly #rtpBase = Math.floor(Math.random() * 2 ** 32);
  readonly #packetizer = new H264Packetizer(MAX_PAYLOAD);
  readonly #started = systemClock.monotonic();

  private constructor(options: RtspCameraOptions, publication: RtspPublication) {
    this.#options = options;
    this.#publication = publication;
    this.#timer = systemClock.every(5, () => { this.#send(); });
  }

  /** Resolves once the server takes its pictures. Throws with the server's status otherwise. */
  static async start(options: RtspCameraOptions): Promise<RtspCamera> {
    const { clip } = options;
    const sdp = [
      `m=video 0 RTP/AVP ${PAYLOAD_TYPE}`, `a=rtpmap:${PAYLOAD_TYPE} H264/90000`,
      `a=fmtp:${PAYLOAD_TYPE} packetization-mode=1;sprop-parameter-sets=${clip.sps.toString('base64')},${clip.pps.toString('base64')}`,
    ];
    return new RtspCamera(options, await RtspPublication.start(options, [{ payloadType: PAYLOAD_TYPE, sdp }]));
  }

  /** Resolves when the connection is gone, whoever ended it. */
  closed(): Promise<void> {
    return this.#publication.closed();
  }

  /** Ends as a camera whose power was cut: no TEARDOWN. */
  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
    this.#publication[Symbol.dispose]();
  }

  #send(): void {
    const { clip } = this.#options;
    const due = (systemClock.monotonic() - this.#started) * 90;
    for (;;) {
      const picture = clip.pictures[this.#index];
      if (!picture || this.#loops * clip.duration + picture.pts > due) return;
      const timestamp = (this.#rtpBase + this.#loops * clip.duration + picture.pts) >>> 0;
      this.#packetizer.packetize(picture.data, (payload, last) => { this.#publication.send(0, payload, last, timestamp); });
      this.#options.onPicture?.(timestamp, this.#index);
      this.#index++;
      if (this.#index === clip.pictures.length) { this.#index = 0; this.#loops++; }
    }
  }
}
