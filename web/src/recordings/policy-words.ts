/** A camera's recording policy in words. Pure. */
import type { CameraRecording } from '../api.ts';

const WEEK = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];

/** Whether it is recorded, apart from the hours of its policy. */
export const isRecordingOn = ({ policy, switched }: CameraRecording): boolean => (switched === undefined ? policy !== 'off' : switched === 'on');

const length = (minutes: number): string => {
  if (minutes < 120) return `${minutes} min`;
  return minutes < 2880 ? `${Math.round(minutes / 6) / 10} h` : `${Math.round(minutes / 144) / 10} days`;
};

const days = (names: readonly string[]): string => {
  const sorted = WEEK.filter((day) => names.includes(day));
  if (sorted.length === 7) return 'every day';
  const [first] = sorted;
  const last = sorted.at(-1);
  const capital = (day: string | undefined): string => (day === undefined ? '' : day.charAt(0).toUpperCase() + day.slice(1));
  const inRow = sorted.length > 2 && WEEK.indexOf(last ?? '') - WEEK.indexOf(first ?? '') === sorted.length - 1;
  return inRow ? `${capital(first)}–${capital(last)}` : sorted.map(capital).join(', ');
};

/** What is recorded and how long it stays, in one or two sentences. */
export const recordingInWords = (recording: CameraRecording): string => {
  const { policy, window_minutes: minutes, max_bytes: bytes, hours, switched } = recording;
  const kept = [minutes !== undefined && `for ${length(minutes)}`, bytes !== undefined && `up to ${(bytes / 1e9).toFixed(1)} GB`].filter((each) => typeof each === 'string').join(', ');
  const keeps = kept === '' ? '' : ` Kept ${kept}.`;
  if (switched === 'on') return `Switched on by hand, whatever the policy says, until it is switched off.${keeps}`;
  if (switched === 'off') return 'Switched off by hand, until it is switched on.';
  if (policy === 'off') return 'The policy is not to record this camera.';
  const when = hours === undefined ? '' : ` ${hours.times.map((each) => `${days(each.days)} ${each.from}–${each.to}`).join('; ')} (${hours.timezone})`;
  if (policy === 'on-event') return `For events: a short window is recorded${when}, and what events mark stays.${keeps}`;
  return `${when === '' ? 'Always' : `At set hours:${when}`}; the oldest goes first, marks stay.${keeps}`;
};
