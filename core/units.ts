/**
 * Numbers that carry their unit in the type (str0m, retina). A plain number becomes a unit where it is declared as
 * one; from there on the compiler keeps milliseconds, ticks and RTP time apart.
 */
declare const unit: unique symbol;
type Unit<T, Name extends string> = T & { readonly [unit]?: Name };

/** A duration or an instant (Unix epoch) in milliseconds; may be fractional. */
export type Milliseconds = Unit<number, 'ms'>;
/** Unwrapped time in ticks of a track's own clock (90 kHz video, sample rate for audio), never modulo 2^32. */
export type MediaTicks = Unit<number, 'ticks'>;
/** The 32-bit timestamp of an RTP header, exactly as the camera sent it (RFC 3550 §5.1). */
export type RtpTimestamp = Unit<number, 'rtp'>;

/** Milliseconds as whole ticks of a `clockRate` Hz clock, rounded to the nearest. */
export const millisecondsToTicks = (ms: Milliseconds, clockRate: number): MediaTicks => Math.round((ms * clockRate) / 1000);
