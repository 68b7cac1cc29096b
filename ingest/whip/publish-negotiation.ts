/** What a WHIP offer sends, and what of it is taken (RFC 9725 §4.2, ING-5). Pure. */
import { opusTrack } from '../../core/codec/opus/opus.ts';
import { MediaError } from '../../core/errors.ts';
import { writeAnswer } from '../../core/sdp/answer.ts';
import type { AnswerSection, AnswerTransport } from '../../core/sdp/answer.ts';
import type { MediaDescription } from '../../core/sdp/description.ts';
import { HeaderExtension } from '../../core/sdp/header-extensions.ts';
import { chooseCodec, chooseFirst } from '../../core/sdp/negotiate.ts';
import type { ChosenCodec } from '../../core/sdp/negotiate.ts';
import { isDataChannel, isOffered, parseWebRtcOffer } from '../../core/sdp/offer.ts';
import type { OpusTrack } from '../../core/track.ts';
import { fullLayer } from './simulcast.ts';

export interface AcceptedSection {
  readonly mid: string;
  readonly codec: ChosenCodec;
  /** Id of the transport-wide sequence number extension; null when transport-cc is not used for this section. */
  readonly transportSequenceId: number | null;
}

export interface AcceptedVideo extends AcceptedSection {
  readonly codecName: 'h264' | 'vp8';
  /** The simulcast layer taken, with the ids of the extensions that name a packet's layer; null without simulcast. */
  readonly layer: { readonly rid: string; readonly ridId: number; readonly repairedRidId: number | null } | null;
  readonly nack: boolean;
  readonly fir: boolean;
  readonly remb: boolean;
}

export interface AcceptedAudio extends AcceptedSection {
  readonly track: OpusTrack;
}

export interface PublishPlan {
  readonly video: AcceptedVideo;
  readonly audio: AcceptedAudio | null;
  /** The accepted section that carries the bundle. */
  readonly first: { readonly mid: string; readonly kind: 'video' | 'audio'; readonly codec: ChosenCodec };
  readonly dataChannels: boolean;
  /** The ICE generation that was offered; another in a PATCH is a restart. */
  readonly offerUfrag: string;
  /** Writes the answer once the transport is known. `sessionId`: digits. */
  readonly answer: (transport: AnswerTransport, sessionId: string) => string;
}

const VIDEO_FEEDBACK = ['nack', 'nack pli', 'ccm fir'] as const;

/**
 * Plans a publication. H.264 first, because nothing plays VP8 in MP4. Audio that cannot be taken is refused alone: it is never a reason
 * to refuse video (ING-5). Throws INVALID_ARGUMENT for a malformed offer, UNPROCESSABLE for one this server does not take.
 * `maxBitrateBps`: what the answer says the publisher may send (`webrtc.max_bitrate_bps`).
 */
export const negotiatePublish = (text: string, maxBitrateBps: number): PublishPlan => {
  const offer = parseWebRtcOffer(text);
  const offered = offer.media.filter(isOffered);
  const videoSection = theOnly(offered, 'video');
  const audioSection = theOnly(offered, 'audio');
  const sends = (section: MediaDescription): boolean => section.direction === 'sendonly' || section.direction === 'sendrecv';
  if (![videoSection, audioSection].some((section) => section && sends(section))) throw unprocessable('DIRECTION', 'A publisher offers sendonly media; this offer sends nothing.');
  if (!videoSection || !sends(videoSection)) throw unprocessable('NO_VIDEO', 'The offer sends no video.');
  const video = acceptVideo(videoSection);
  const audio = audioSection && sends(audioSection) ? acceptAudio(audioSection) : null;
  const data = offered.find(isDataChannel);
  const answers = offer.media.map((section): AnswerSection => {
    if (section === videoSection) return videoAnswer(section, video, maxBitrateBps);
    if (section === audioSection && audio) return audioAnswer(section, audio);
    return section === data ? { type: 'data', offer: section } : { type: 'rejected', offer: section };
  });
  const audioFirst = audio !== null && offered.indexOf(audioSection ?? videoSection) < offered.indexOf(videoSection);
  return {
    video,
    audio,
    first: audioFirst ? { mid: audio.mid, kind: 'audio', codec: audio.codec } : { mid: video.mid, kind: 'video', codec: video.codec },
    dataChannels: data !== undefined,
    offerUfrag: offered[0]?.iceUfrag ?? '',
    answer: (transport, sessionId) => writeAnswer(answers, transport, sessionId),
  };
};

const unprocessable = (reason: string, message: string): MediaError => new MediaError('UNPROCESSABLE', message, { reason });

/** RFC 9725 §4.2: at most one audio and one video section. */
const theOnly = (sections: readonly MediaDescription[], kind: 'video' | 'audio'): MediaDescription | null => {
  const found = sections.filter((section) => section.kind === kind);
  if (found.length > 1) throw unprocessable('MULTIPLE_TRACKS', `The offer has more than one ${kind} section.`);
  return found[0] ?? null;
};

const extensionId = (section: MediaDescription, uri: string): number | null => section.extensions.find((extension) => extension.uri === uri)?.id ?? null;
const offersFeedback = (section: MediaDescription, codec: ChosenCodec, value: string): boolean =>
  section.feedback.some((feedback) => feedback.value === value && (feedback.payloadType === '*' || feedback.payloadType === codec.payloadType));
/** Transport-cc needs the extension and the feedback both. */
const transportSequence = (section: MediaDescription, codec: ChosenCodec): number | null =>
  offersFeedback(section, codec, 'transport-cc') ? extensionId(section, HeaderExtension.transportSequence) : null;

const acceptVideo = (section: MediaDescription): AcceptedVideo => {
  const codec = chooseFirst(section, ['h264', 'vp8']);
  if (!codec) throw unprocessable('NO_USABLE_CODEC', 'The offer has neither H.264 nor VP8.');
  const transportSequenceId = transportSequence(section, codec);
  return {
    mid: section.mid ?? '',
    codec,
    codecName: codec.codec === 'vp8' ? 'vp8' : 'h264',
    transportSequenceId,
    layer: acceptLayer(section),
    nack: offersFeedback(section, codec, 'nack'),
    fir: offersFeedback(section, codec, 'ccm fir'),
    remb: transportSequenceId === null && offersFeedback(section, codec, 'goog-remb'),
  };
};

const acceptLayer = (section: MediaDescription): AcceptedVideo['layer'] => {
  const rids = section.rids.filter((rid) => rid.direction === 'send').map((rid) => rid.id);
  const rid = fullLayer(rids);
  const ridId = extensionId(section, HeaderExtension.rid);
  return rid === null || ridId === null ? null : { rid, ridId, repairedRidId: extensionId(section, HeaderExtension.repairedRid) };
};

/** Opus alone: AAC has no place in WebRTC, and G.711 none in our recordings. */
const acceptAudio = (section: MediaDescription): AcceptedAudio | null => {
  const codec = chooseCodec(section, 'opus');
  return codec && { mid: section.mid ?? '', codec, track: opusTrack(), transportSequenceId: transportSequence(section, codec) };
};

const videoAnswer = (section: MediaDescription, video: AcceptedVideo, maxBitrateBps: number): AnswerSection => ({
  type: 'media',
  offer: section,
  direction: 'recvonly',
  codec: video.codec,
  feedback: [...VIDEO_FEEDBACK, ...(video.transportSequenceId === null ? (video.remb ? ['goog-remb'] : []) : ['transport-cc'])],
  extensions: [
    HeaderExtension.mid,
    ...(video.transportSequenceId === null ? [HeaderExtension.absoluteSendTime] : [HeaderExtension.transportSequence]),
    ...(video.layer ? [HeaderExtension.rid, HeaderExtension.repairedRid] : []),
    // Not video-orientation: without it a phone turns the picture itself, and recordings, detectors and HLS see it upright.
  ],
  source: null,
  maxBitrateBps,
  ...(video.layer ? { receiveRids: [video.layer.rid] } : {}),
});

const audioAnswer = (section: MediaDescription, audio: AcceptedAudio): AnswerSection => ({
  type: 'media',
  offer: section,
  direction: 'recvonly',
  codec: audio.codec,
  feedback: audio.transportSequenceId === null ? [] : ['transport-cc'],
  extensions: [HeaderExtension.mid, ...(audio.transportSequenceId === null ? [] : [HeaderExtension.transportSequence])],
  source: null,
});
