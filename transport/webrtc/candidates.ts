/** ICE candidate lines, RFC 8839 §5.1. */
import { isIP } from 'node:net';

/** `candidate:foundation component transport priority address port typ type …` */
const CANDIDATE = /^candidate:[A-Za-z0-9+/]{1,32} 1 udp (\d{1,10}) ([0-9A-Fa-f.:]{2,45}) (\d{1,5}) typ (?:host|srflx|prflx|relay)(?: [\x21-\x7e]+)*$/i;

/**
 * A remote candidate worth a check: RTP component, UDP, an address. Names (`….local`, which browsers show instead of their own address)
 * cannot be resolved here; such a peer is found all the same, as peer-reflexive, when its own checks arrive.
 */
export const isUsableCandidate = (line: string): boolean => {
  const [, priority = '', address = '', port = ''] = CANDIDATE.exec(line) ?? [];
  return isIP(address) !== 0 && Number(port) > 0 && Number(port) <= 65_535 && Number(priority) <= 0xffff_ffff && line.length <= 512;
};

/** Type preference 126 (host), component 1; the local preference orders ours among themselves (RFC 8445 §5.1.2.1). */
const priority = (localPreference: number): number => 126 * 2 ** 24 + localPreference * 256 + 255;

/** Host candidates for addresses the transport itself does not list, below its own ones in priority. */
export const hostCandidates = (addresses: readonly string[], port: number): string[] =>
  addresses.map((address, index) => `candidate:h${String(index + 1)} 1 UDP ${String(priority(1000 - index))} ${address} ${String(port)} typ host`);
