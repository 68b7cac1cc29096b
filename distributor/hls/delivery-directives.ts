/** Delivery directives of a playlist request: RFC 8216bis §6.2.5. Pure. */
import { MediaError } from '../../core/errors.ts';
import type { LiveWindow } from './live-window.ts';

export interface DeliveryDirectives {
  /** `_HLS_msn`: answer when the playlist has this segment … */
  readonly msn: number | null;
  /** `_HLS_part`: … or this part of it. */
  readonly part: number | null;
  /** `_HLS_skip`: a delta update is wanted. */
  readonly skip: boolean;
}

const NUMBER = /^\d{1,15}$/;

/** Reads them from the query. Throws INVALID_ARGUMENT (400) for what is no number and for `_HLS_part` without `_HLS_msn`. */
export const parseDirectives = (query: URLSearchParams): DeliveryDirectives => {
  const msn = numberOf(query, '_HLS_msn');
  const part = numberOf(query, '_HLS_part');
  if (part !== null && msn === null) throw new MediaError('INVALID_ARGUMENT', '_HLS_part needs _HLS_msn');
  const skip = query.get('_HLS_skip');
  return { msn, part, skip: skip === 'YES' || skip === 'v2' };
};

const numberOf = (query: URLSearchParams, name: string): number | null => {
  const text = query.get(name);
  if (text === null) return null;
  if (!NUMBER.test(text)) throw new MediaError('INVALID_ARGUMENT', `${name} is not a number`);
  return Number(text);
};

/** Throws INVALID_ARGUMENT (400) for a request so far ahead that it cannot be what the playlist told (§6.2.5.2). */
export const refuseFarAhead = (window: LiveWindow, { msn, part }: DeliveryDirectives): void => {
  if (msn === null || window.ended) return;
  const { next, partTargetMs } = window;
  // `next.msn − 1` is the last whole segment; two more may be asked for.
  if (msn > next.msn + 1) throw new MediaError('INVALID_ARGUMENT', '_HLS_msn is more than two segments ahead');
  if (part === null || msn < next.msn) return;
  const advancePartLimit = partTargetMs < 1_000 ? Math.ceil(3_000 / partTargetMs) : 3;
  const last = msn === next.msn ? next.part - 1 : -1;
  if (part > last + advancePartLimit) throw new MediaError('INVALID_ARGUMENT', '_HLS_part is too far ahead');
};

/** Whether the playlist already has what is asked for. */
export const isSatisfied = (window: LiveWindow, { msn, part }: DeliveryDirectives): boolean => {
  if (msn === null || window.ended) return true;
  const { next } = window;
  if (part === null) return next.msn > msn;
  if (next.msn === msn) return next.part > part;
  if (next.msn < msn) return false;
  if (next.msn > msn + 1) return true;
  // The segment is whole; a part past its end stands for the first part of the next one.
  const segment = window.segments.find((candidate) => candidate.msn === msn);
  return !segment || part < segment.parts.length || next.part > 0;
};
