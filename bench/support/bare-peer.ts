import { PeerConnection, Video } from 'node-datachannel';
import type { Track } from 'node-datachannel';

const CONNECT_MS = 5_000;
/** libdatachannel as the offerer loses some handshakes (WEBRTC-NOTES 13). */
const ATTEMPTS = 4;

export interface BarePeerOptions {
  readonly url: string;
  readonly token: string;
  readonly direction: 'SendOnly' | 'RecvOnly';
  readonly ssrc?: number;
  readonly onMessage: (packet: Buffer) => void;
}

/** A libdatachannel peer with one H.264 section (payload type 96), connected by WHIP or WHEP: the cheapest client there is. */
export class BarePeer {
  readonly track: Track;
  /** Kept so that it lives as long as its track. */
  readonly pc: PeerConnection;

  private constructor(pc: PeerConnection, track: Track) {
    this.pc = pc;
    this.track = track;
  }

  /** Connects; tries again when the handshake fails. Throws with the server's answer when it refuses. */
  static async connect(options: BarePeerOptions): Promise<BarePeer> {
    for (let attempt = 1; ; attempt++) {
      const peer = await BarePeer.#attempt(options);
      if (peer) return peer;
      if (attempt === ATTEMPTS) throw new Error(`no connection to ${options.url} in ${ATTEMPTS} attempts`);
    }
  }

  static async #attempt(options: BarePeerOptions): Promise<BarePeer | null> {
    const pc = new PeerConnection('bench', { iceServers: [], disableAutoNegotiation: true });
    const video = new Video('0', options.direction);
    video.addH264Codec(96);
    if (options.direction === 'SendOnly') video.addSSRC(options.ssrc ?? 1234, 'bench', 'stream', 'video');
    const track = pc.addTrack(video);
    track.onMessage(options.onMessage);
    const open = new Promise<boolean>((resolve) => {
      track.onOpen(() => { resolve(true); });
      setTimeout(() => { resolve(false); }, CONNECT_MS);
    });
    const gathered = new Promise<void>((resolve) => { pc.onGatheringStateChange((state) => { if (state === 'complete') resolve(); }); });
    pc.setLocalDescription('offer');
    await gathered;
    const response = await fetch(options.url, {
      method: 'POST', headers: { 'content-type': 'application/sdp', 'authorization': `Bearer ${options.token}` }, body: withoutCandidates(pc.localDescription()?.sdp ?? ''),
    });
    const answer = await response.text();
    if (response.status !== 201) throw new Error(`POST ${options.url} was answered ${response.status}: ${answer}`);
    pc.setRemoteDescription(answer, 'answer');
    if (await open) return new BarePeer(pc, track);
    pc.close();
    return null;
  }
}

/** The server finds this peer by its checks. Told of candidates it begins before the answer is here, and libdatachannel gives up. */
const withoutCandidates = (sdp: string): string => sdp.split('\r\n').filter((line) => !line.startsWith('a=candidate') && line !== 'a=end-of-candidates').join('\r\n');
