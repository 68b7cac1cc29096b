/** What a camera's recording settings come to for its edge. Pure. */
import type { CameraSpec, RecordingHours } from '../../media-control/port.ts';
import { DAYS } from './schemas.ts';
import type { Hours, StoredRecording } from './schemas.ts';

/** `on-event` records all the time, for what came before an event is wanted, too; but keeps it for no longer than this. */
const ON_EVENT_WINDOW_MINUTES = 5;

const minutesOf = (time: string): number => Number(time.slice(0, 2)) * 60 + Number(time.slice(3));

const hoursOf = ({ timezone, times }: Hours): RecordingHours => ({
  timezone, times: times.map(({ days, from, to }) => ({ days: days.map((day) => DAYS.indexOf(day)), from: minutesOf(from), to: minutesOf(to) })),
});

export const recordingSpec = ({ policy, window_minutes, max_bytes, hours, switched }: StoredRecording): Pick<CameraSpec, 'recording' | 'hours' | 'window'> => {
  const minutes = window_minutes ?? (policy === 'on-event' ? ON_EVENT_WINDOW_MINUTES : null);
  const on = switched === undefined ? policy !== 'off' : switched === 'on';
  return {
    recording: on ? 'always' : 'off',
    ...(hours !== undefined && switched === undefined ? { hours: hoursOf(hours) } : {}),
    ...(minutes !== null || max_bytes !== undefined ? { window: { minutes, maxBytes: max_bytes ?? null } } : {}),
  };
};
