/** NTP timestamps of RTCP, RFC 3550 §4: 32 bits of seconds since 1900, 32 bits of fraction. */
import type { Milliseconds } from '../units.ts';

const UNIX_EPOCH_IN_NTP = 2_208_988_800;

/** Unix ms of an NTP timestamp. Seconds below 2^31 are read as era 1 (after 7 February 2036). */
export const ntpToUnix = (seconds: number, fraction: number): Milliseconds => {
  const era = seconds < 0x8000_0000 ? 0x1_0000_0000 : 0;
  return (era + seconds - UNIX_EPOCH_IN_NTP) * 1000 + (fraction * 1000) / 0x1_0000_0000;
};

export const unixToNtp = (unix: Milliseconds): { readonly seconds: number; readonly fraction: number } => {
  const whole = Math.floor(unix / 1000);
  return { seconds: (whole + UNIX_EPOCH_IN_NTP) >>> 0, fraction: Math.floor(((unix - whole * 1000) / 1000) * 0x1_0000_0000) >>> 0 };
};

/** The middle 32 bits, as in LSR: 16.16 fixed-point seconds. */
export const ntpMiddle = (unix: Milliseconds): number => {
  const { seconds, fraction } = unixToNtp(unix);
  return (((seconds & 0xffff) << 16) | (fraction >>> 16)) >>> 0;
};
