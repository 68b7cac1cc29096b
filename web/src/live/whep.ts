/** A WHEP player (draft-ietf-wish-whep-03): one attempt, from offer to end. Reconnecting is `live-player.ts`'s affair. */
import type { BoxMessage, TimelineMessage } from './boxes.ts';
import { hostCandidates } from './host-candidates.ts';

export interface WhepOptions {
  readonly url: string;
  readonly token: string;
  readonly onTrack: (stream: MediaStream, receiver: RTCRtpReceiver) => void;
  readonly onMessage: (message: BoxMessage | TimelineMessage) => void;
  readonly onEnd: (reason: string) => void;
}

/** The server's refusal, with its reason code. */
export class WhepRefused extends Error {
  readonly status: number;
  readonly code: string;
  readonly retryAfterSeconds: number;
  constructor(status: number, code: string, message: string, retryAfterSeconds: number) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** Posts an offer; throws WhepRefused. */
export const postOffer = async (url: string, token: string, sdp: string): Promise<{ answer: string; resource: string | null }> => {
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/sdp', authorization: `Bearer ${token}` }, body: sdp });
  const text = await response.text();
  if (response.status !== 201) {
    let problem: { detail?: string; code?: string } = {};
    try { problem = JSON.parse(text) as typeof problem; } catch { /* not a problem document */ }
    throw new WhepRefused(response.status, problem.code ?? '', problem.detail ?? `The server answered ${response.status}.`, Number(response.headers.get('retry-after') ?? 0));
  }
  const location = response.headers.get('location');
  return { answer: text, resource: location ? new URL(location, url).href : null };
};

export class WhepPlayer {
  readonly pc: RTCPeerConnection;
  readonly #options: WhepOptions;
  #resource: string | null = null;
  #closed = false;
  /** `refused` until the server has answered; `unreached` until the two have found a way to each other. */
  reach: 'refused' | 'unreached' | 'connected' = 'refused';

  constructor(options: WhepOptions) {
    this.#options = options;
    this.pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  }

  async start(): Promise<void> {
    const { pc } = this;
    pc.addTransceiver('video', { direction: 'recvonly' });
    pc.addTransceiver('audio', { direction: 'recvonly' });
    const lane = pc.createDataChannel('detections', { ordered: true });
    lane.onmessage = (event: MessageEvent<string>) => this.#options.onMessage(JSON.parse(event.data) as BoxMessage | TimelineMessage);
    lane.onclose = () => this.#end('the server closed the data channel');
    const stream = new MediaStream();
    pc.ontrack = (event) => {
      stream.addTrack(event.track);
      if (event.track.kind === 'video') this.#options.onTrack(stream, event.receiver);
    };
    pc.onconnectionstatechange = () => {
      if (pc.connectionState === 'connected') this.reach = 'connected';
      if (pc.connectionState === 'failed' || pc.connectionState === 'closed') this.#end(`connection ${pc.connectionState}`);
    };
    await hostCandidates(pc, () => pc.setLocalDescription());
    const { answer, resource } = await postOffer(this.#options.url, this.#options.token, pc.localDescription?.sdp ?? '');
    this.#resource = resource;
    if (this.#closed) { this.close(); return; }
    this.reach = 'unreached';
    await pc.setRemoteDescription({ type: 'answer', sdp: answer });
  }

  close(): void {
    this.#closed = true;
    this.pc.close();
    if (this.#resource) void fetch(this.#resource, { method: 'DELETE', headers: { authorization: `Bearer ${this.#options.token}` }, keepalive: true }).catch(() => undefined);
    this.#resource = null;
  }

  #end(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.pc.close();
    this.#options.onEnd(reason);
  }
}
