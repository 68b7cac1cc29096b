/** `application/trickle-ice-sdpfrag`, RFC 8840: what a WHIP or WHEP client PATCHes. */
import { MediaError } from '../errors.ts';
import { readTransportAttribute } from './attributes.ts';
import type { Mutable } from './attributes.ts';
import type { TransportAttributes } from './description.ts';
import { MAX_MEDIA_SECTIONS, sdpLines } from './parse.ts';

export interface SdpFragment {
  /** The generation the candidates belong to; another pair than the session's is an ICE restart. */
  readonly iceUfrag: string | null;
  readonly icePwd: string | null;
  readonly candidates: readonly { readonly mid: string | null; readonly candidate: string }[];
  readonly endOfCandidates: boolean;
}

const MAX_CANDIDATES = 256;

/** Throws INVALID_ARGUMENT naming the line. */
export const parseSdpFragment = (text: string): SdpFragment => {
  const transport: Mutable<TransportAttributes> = { iceUfrag: null, icePwd: null, fingerprint: null, setup: null, control: null };
  const candidates: { mid: string | null; candidate: string }[] = [];
  let mid: string | null = null;
  let sections = 0;
  let endOfCandidates = false;
  for (const line of sdpLines(text)) {
    if (line.startsWith('m=')) {
      if (++sections > MAX_MEDIA_SECTIONS) throw new MediaError('INVALID_ARGUMENT', 'SDP: more than 32 media sections');
      mid = null;
    }
    if (!line.startsWith('a=')) continue;
    const attribute = line.slice(2);
    if (attribute.startsWith('mid:')) mid = attribute.slice(4).trim();
    else if (attribute.startsWith('candidate:')) {
      if (candidates.length < MAX_CANDIDATES) candidates.push({ mid, candidate: attribute });
    } else if (attribute === 'end-of-candidates') endOfCandidates = true;
    else readTransportAttribute(transport, attribute, line);
  }
  return { iceUfrag: transport.iceUfrag, icePwd: transport.icePwd, candidates, endOfCandidates };
};
