/**
 * Numbers that carry their unit in the type (str0m, retina). A plain number becomes a unit only at a boundary,
 * through the functions below; inside the code the compiler keeps seconds, ticks and RTP time apart.
 */
declare const unit: unique symbol;
type Unit<T, Name extends string> = T & { readonly [unit]?: Name };

/** A duration or an instant (Unix epoch) in milliseconds; may be fractional. */
export type Milliseconds = Unit<number, 'ms'>;
/** Unwrapped time in ticks of a track's own clock (90 kHz video, sample rate for audio), never modulo 2^32. */
export type MediaTicks = Unit<number, 'ticks'>;
/** The 32-bit timestamp of an RTP header, exactly as the camera sent it (RFC 3550 §5.1). */
export type RtpTimestamp = Unit<number, 'rtp'>;

export const milliseconds = (value: number): Milliseconds => value;
export const mediaTicks = (value: number): MediaTicks => value;
export const rtpTimestamp = (value: number): RtpTimestamp => value >>> 0;

/** Ticks of a `clockRate` Hz clock as milliseconds. */
export const ticksToMilliseconds = (ticks: MediaTicks, clockRate: number): Milliseconds => (ticks * 1000) / clockRate;
/** Milliseconds as whole ticks of a `clockRate` Hz clock, rounded to the nearest. */
export const millisecondsToTicks = (ms: Milliseconds, clockRate: number): MediaTicks => Math.round((ms * clockRate) / 1000);
