/** ICE candidate lines, RFC 8839 §5.1. */
import { isIP } from 'node:net';

/** `candidate:foundation component transport priority address port typ type …` */
const CANDIDATE = /^candidate:[A-Za-z0-9+/]{1,32} 1 udp (\d{1,10}) ([0-9A-Fa-f.:]{2,45}) (\d{1,5}) typ (?:host|srflx|prflx|relay)(?: [\x21-\x7e]+)*$/i;

/** The name that a browser shows instead of an address of its own (draft-ietf-mmusic-mdns-ice-candidates §3.1). */
const NAME = / [0-9a-f-]{36}\.local (?=\d)/i;
const MAX_CANDIDATE_CHARS = 512;

/**
 * A remote candidate worth a check, as the transport can use it: RTP component, UDP, an address; null: it is of no use. A browser's name for
 * its address is not looked up: the offer came from that machine, so `clientAddress` stands in for it. Where that is wrong (a NAT), or not
 * known, the peer is found all the same, as peer-reflexive, when its own checks arrive; but that takes 50 to 150 ms more, because
 * libjuice answers an address it did not know with a check of its own only 50 ms later, and begins to wait anew at every check that comes meanwhile.
 */
export const usableCandidate = (line: string, clientAddress: string | null): string | null => {
  if (line.length > MAX_CANDIDATE_CHARS) return null;
  const addressed = clientAddress !== null && isIP(clientAddress) !== 0 ? line.replace(NAME, ` ${clientAddress} `) : line;
  const [, priority = '', address = '', port = ''] = CANDIDATE.exec(addressed) ?? [];
  return isIP(address) !== 0 && Number(port) > 0 && Number(port) <= 65_535 && Number(priority) <= 0xffff_ffff ? addressed : null;
};

/**
 * The usable ones of an offer, in the order they are to be checked: libjuice leaves 50 ms between two, so the likeliest comes first. That is one
 * at the address the offer came from, then its family. Of several at that address (the names of an IPv4 and an IPv6 socket) the
 * priority tells: IPv6 has the higher one (RFC 8445 §5.1.2.1).
 */
export const usableCandidates = (lines: readonly string[], clientAddress: string | null): string[] => {
  const usable = [...new Set(lines.flatMap((line) => usableCandidate(line, clientAddress) ?? []))];
  if (clientAddress === null) return usable;
  const family = isIP(clientAddress);
  const rank = (line: string): { readonly place: number; readonly priority: number } => {
    const [, priority = '', address = ''] = CANDIDATE.exec(line) ?? [];
    const place = address === clientAddress ? 0 : isIP(address) === family ? 1 : 2;
    return { place, priority: Number(priority) * (place === 0 && family === 4 ? -1 : 1) };
  };
  return usable.map((line) => ({ line, ...rank(line) })).sort((a, b) => a.place - b.place || b.priority - a.priority).map(({ line }) => line);
};

/** Type preference 126 (host), component 1; the local preference orders ours among themselves (RFC 8445 §5.1.2.1). */
const priority = (localPreference: number): number => 126 * 2 ** 24 + localPreference * 256 + 255;

/** Host candidates for addresses the transport itself does not list, below its own ones in priority. */
export const hostCandidates = (addresses: readonly string[], port: number): string[] =>
  addresses.map((address, index) => `candidate:h${String(index + 1)} 1 UDP ${String(priority(1000 - index))} ${address} ${String(port)} typ host`);
