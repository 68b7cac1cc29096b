/** From a viewer's offer and a camera's tracks to what is sent and answered. Pure. */
import { MediaError } from '../../core/errors.ts';
import type { CameraId } from '../../core/frame-ref.ts';
import type { AnswerSection, AnswerSource, AnswerTransport } from '../../core/sdp/answer.ts';
import { writeAnswer } from '../../core/sdp/answer.ts';
import type { MediaDescription, SessionDescription } from '../../core/sdp/description.ts';
import type { ChosenCodec } from '../../core/sdp/negotiate.ts';
import { chooseCodec } from '../../core/sdp/negotiate.ts';
import { isDataChannel, isOffered } from '../../core/sdp/offer.ts';
import type { Tracks } from '../../core/track.ts';

export type EgressCodec = 'h264' | 'vp8' | 'opus';

export interface PlayTrack {
  readonly kind: 'video' | 'audio';
  readonly mid: string;
  readonly codec: ChosenCodec;
}

export interface PlayNegotiation {
  /** What is sent: at most one video and one audio track. */
  readonly tracks: readonly PlayTrack[];
  readonly dataChannels: boolean;
  answer(transport: AnswerTransport, source: (track: PlayTrack) => AnswerSource): string;
}

/** Only what we act upon; the answer has those of them that were offered. */
const VIDEO_FEEDBACK = ['nack', 'nack pli', 'ccm fir'];

const wantsToReceive = (media: MediaDescription): boolean => media.direction === 'recvonly' || media.direction === 'sendrecv';

/** An offer that publishes (ING-2: accepted at the WHEP URL, too). */
export const isPublishOffer = (offer: SessionDescription): boolean => {
  const media = offer.media.filter((m) => isOffered(m) && !isDataChannel(m));
  return media.length > 0 && media.every((m) => m.direction === 'sendonly');
};

/**
 * Throws NOT_ACCEPTABLE: `B_FRAMES` when the pictures are reordered (D-6), `NO_COMMON_CODEC` when the offer has nothing this stream could
 * be sent with.
 */
export const negotiatePlay = (offer: SessionDescription, tracks: Tracks, camera: CameraId): PlayNegotiation => {
  refuseReordered(tracks, camera);
  const chosen = new Map<MediaDescription, PlayTrack>();
  const inactive = new Map<MediaDescription, ChosenCodec>();
  const taken = new Set<string>();
  for (const media of offer.media) {
    if (!isOffered(media) || media.mid === null || isDataChannel(media)) continue;
    const kind = media.kind === 'video' ? 'video' : 'audio';
    const codec = codecFor(media, tracks);
    if (codec && wantsToReceive(media) && !taken.has(kind)) {
      taken.add(kind);
      chosen.set(media, { kind, mid: media.mid, codec });
    } else if (media.kind === 'audio') {
      // Kept in the bundle, but silent: AAC cannot be sent, video plays (contract 0.4).
      const spare = chooseCodec(media, 'opus');
      if (spare) inactive.set(media, spare);
    }
  }
  if (chosen.size === 0 || (tracks.video && !taken.has('video') && offer.media.some((m) => m.kind === 'video' && isOffered(m)))) {
    throw new MediaError('NOT_ACCEPTABLE', 'the offer has no codec this camera could be sent with', {
      reason: 'NO_COMMON_CODEC',
      context: { camera, video: tracks.video?.codec ?? null, audio: tracks.audio?.codec ?? null },
    });
  }
  return {
    tracks: [...chosen.values()],
    dataChannels: offer.media.some((media) => isOffered(media) && isDataChannel(media)),
    answer: (transport, source) => writeAnswer(offer.media.map((media) => answerSection(media, chosen.get(media), inactive.get(media), source)), transport),
  };
};

const refuseReordered = (tracks: Tracks, camera: CameraId): void => {
  if (!tracks.video || tracks.video.reorderDepth === 0) return;
  throw new MediaError('NOT_ACCEPTABLE', "WebRTC cannot show B-frames. Turn them off in the camera's encoder (B-frames 0, profile Baseline, or \"low latency\"), or watch by HLS.", {
    reason: 'B_FRAMES',
    context: { camera, setting: 'b_frames', wanted: 0, hls: `/hls/${camera}/index.m3u8` },
  });
};

const codecFor = (media: MediaDescription, tracks: Tracks): ChosenCodec | null => {
  if (media.kind === 'video' && tracks.video) {
    const { video } = tracks;
    return chooseCodec(media, video.codec, video.codec === 'h264' ? video.codecString.slice(5) : undefined); // `avc1.PPCCLL`
  }
  return media.kind === 'audio' && tracks.audio?.codec === 'opus' ? chooseCodec(media, 'opus') : null;
};

const answerSection = (media: MediaDescription, track: PlayTrack | undefined, spare: ChosenCodec | undefined, source: (track: PlayTrack) => AnswerSource): AnswerSection => {
  if (track) {
    return { type: 'media', offer: media, direction: 'sendonly', codec: track.codec, feedback: track.kind === 'video' ? VIDEO_FEEDBACK : [], extensions: [], source: source(track) };
  }
  if (isOffered(media) && isDataChannel(media)) return { type: 'data', offer: media };
  if (spare) return { type: 'media', offer: media, direction: 'inactive', codec: spare, feedback: [], extensions: [], source: null };
  return { type: 'rejected', offer: media };
};
