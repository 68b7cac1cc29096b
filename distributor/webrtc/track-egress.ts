import type { AccessUnit } from '../../core/access-unit.ts';
import { NalType, nalType } from '../../core/codec/h264/nal.ts';
import { toAvcc } from '../../core/codec/h264/nal.ts';
import { H264Packetizer } from '../../core/rtp/h264-packetizer.ts';
import { OpusPacketizer } from '../../core/rtp/opus-packetizer.ts';
import { RTP_HEADER_BYTES, writeRtpHeader } from '../../core/rtp/packet.ts';
import type { Packetizer } from '../../core/rtp/port.ts';
import { Vp8Packetizer } from '../../core/rtp/vp8-packetizer.ts';
import type { H264Track } from '../../core/track.ts';
import type { RtpTimestamp } from '../../core/units.ts';
import type { EgressCodec } from './play-negotiation.ts';
import { EgressTimeline } from './egress-timeline.ts';
import { PacketHistory } from './packet-history.ts';

/** A packet fits every path's MTU with room for SRTP, TURN and a tunnel. */
const MAX_PAYLOAD_BYTES = 1_188;
const VIDEO_HISTORY = { packets: 16_384, bytes: 16 << 20 };
const AUDIO_HISTORY = { packets: 256, bytes: 1 << 20 };

/** How one track of a camera leaves: its SSRCs, timeline, sequence numbers and packets, the same for all viewers. */
export class TrackEgress {
  readonly kind: 'video' | 'audio';
  readonly ssrc: number;
  readonly rtxSsrc: number;
  readonly timeline: EgressTimeline;
  readonly history: PacketHistory;
  /** The packets of the latest access unit, in order. Shared: read them before the next `packetize`. */
  readonly batch: Buffer[] = [];
  readonly #packetizers = new Map<EgressCodec, Packetizer>();
  #timestamp: RtpTimestamp = 0;

  constructor(options: { readonly kind: 'video' | 'audio'; readonly ssrc: number; readonly rtxSsrc: number; readonly firstSequence: number }) {
    this.kind = options.kind;
    this.ssrc = options.ssrc;
    this.rtxSsrc = options.rtxSsrc;
    const bounds = options.kind === 'video' ? VIDEO_HISTORY : AUDIO_HISTORY;
    this.timeline = new EgressTimeline(options.kind === 'video' ? 90_000 : 48_000);
    this.history = new PacketHistory(bounds.packets, bounds.bytes, options.firstSequence);
  }

  /** Packetises `unit` once for everybody, into `batch` and `history`. The payload type is left to each viewer. */
  packetize(unit: AccessUnit, codec: EgressCodec): void {
    this.#timestamp = this.timeline.next(unit);
    this.batch.length = 0;
    this.#packetizer(codec).packetize(withParameterSets(unit), this.#emit);
  }

  readonly #emit = (payload: readonly Buffer[], last: boolean): void => {
    let length = RTP_HEADER_BYTES;
    for (const part of payload) length += part.length;
    const packet = Buffer.allocUnsafe(length);
    writeRtpHeader(packet, { marker: last, payloadType: 0, sequenceNumber: this.history.end, timestamp: this.#timestamp, ssrc: this.ssrc });
    let offset = RTP_HEADER_BYTES;
    for (const part of payload) {
      packet.set(part, offset);
      offset += part.length;
    }
    this.history.push(packet);
    this.batch.push(packet);
  };

  #packetizer(codec: EgressCodec): Packetizer {
    const known = this.#packetizers.get(codec);
    if (known) return known;
    const packetizer = codec === 'h264' ? new H264Packetizer(MAX_PAYLOAD_BYTES) : codec === 'vp8' ? new Vp8Packetizer(MAX_PAYLOAD_BYTES) : new OpusPacketizer();
    this.#packetizers.set(codec, packetizer);
    return packetizer;
  }
}

/**
 * The unit's data; a random access picture of H.264 that carries no SPS gets the track's sets in front: a viewer that joins
 * here, or comes from another resolution, has no other way to learn them.
 */
const withParameterSets = (unit: AccessUnit): Buffer => {
  const track = unit.tracks.video;
  if (unit.kind !== 'video' || !unit.randomAccess || track?.codec !== 'h264' || carriesSps(unit.data)) return unit.data;
  return Buffer.concat([toAvcc(setsOf(track)), unit.data]);
};

const setsOf = (track: H264Track): Uint8Array[] => [track.sps, track.pps];

/** Looks at the NAL units before the first slice only. */
const carriesSps = (data: Buffer): boolean => {
  let offset = 0;
  while (offset + 5 <= data.length) {
    const type = nalType(data.subarray(offset + 4, offset + 5));
    if (type === NalType.sps) return true;
    if (type === NalType.slice || type === NalType.idr) return false;
    offset += 4 + data.readUInt32BE(offset);
  }
  return false;
};
