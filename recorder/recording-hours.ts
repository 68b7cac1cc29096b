/** Whether a moment is within a camera's recording hours. Pure, but for the time zone data of the platform. */
import type { Milliseconds } from '../core/units.ts';
import type { RecordingHours } from '../media-control/port.ts';

const DAY = 24 * 60;
const WEEKDAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];

/** One per time zone: making one takes as long as a hundred uses of it. */
const formats = new Map<string, Intl.DateTimeFormat>();

/** Day of the week and minute of the day in `timezone`; UTC where the platform does not know it (the API refuses such a name). */
const localTime = (now: Milliseconds, timezone: string): { readonly day: number; readonly minute: number } => {
  let format = formats.get(timezone);
  if (!format) {
    const style = { weekday: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' } as const;
    try {
      format = new Intl.DateTimeFormat('en-US', { ...style, timeZone: timezone });
    } catch {
      format = new Intl.DateTimeFormat('en-US', { ...style, timeZone: 'UTC' });
    }
    formats.set(timezone, format);
  }
  const parts = new Map(format.formatToParts(now).map(({ type, value }) => [type, value]));
  return { day: WEEKDAYS.indexOf(parts.get('weekday') ?? ''), minute: Number(parts.get('hour')) * 60 + Number(parts.get('minute')) };
};

/** Wall-clock hours: on the night of a change of summer time they are an hour longer or shorter. No hours at all: always. */
export const isWithinHours = (hours: RecordingHours | undefined, now: Milliseconds): boolean => {
  if (!hours) return true;
  const { day, minute } = localTime(now, hours.timezone);
  return hours.times.some(({ days, from, to }) => {
    const length = to > from ? to - from : to + DAY - from;
    // It may have begun today or yesterday.
    return [0, 1].some((ago) => {
      const since = minute - from + ago * DAY;
      return days.includes((day + 7 - ago) % 7) && since >= 0 && since < length;
    });
  });
};
