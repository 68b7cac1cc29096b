/** Times and lengths in words. */

/** Hour, minute and second. */
export const clock = (ms: number): string => new Date(ms).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit' });

const isToday = (ms: number): boolean => new Date(ms).toDateString() === new Date().toDateString();

/** With its day unless that is today. */
export const moment = (ms: number): string => (isToday(ms) ? clock(ms) : `${new Date(ms).toLocaleDateString()} ${clock(ms)}`);

/** "Today", or the weekday and the date. */
export const day = (ms: number): string => (isToday(ms) ? 'Today' : new Date(ms).toLocaleDateString([], { weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' }));

/** Two moments; the second one's day is left out when it is the first one's. */
export const between = (from: number, to: number): string =>
  `${moment(from)} – ${new Date(from).toDateString() === new Date(to).toDateString() ? clock(to) : moment(to)}`;

export const amount = (seconds: number): string => {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${seconds.toFixed(0)} s`;
  if (seconds < 600) return `${Math.floor(seconds / 60)} min ${String(Math.floor(seconds % 60)).padStart(2, '0')} s`;
  return seconds < 3600 ? `${(seconds / 60).toFixed(0)} min` : `${(seconds / 3600).toFixed(1)} h`;
};

/** As `<input type=datetime-local>` takes it, to the second; empty for nothing. */
export const toLocalInput = (iso: string): string => {
  if (iso === '') return '';
  const date = new Date(iso);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
};

/** RFC 3339 of such an input's value; empty for nothing. */
export const fromLocalInput = (value: string): string => (value === '' || Number.isNaN(Date.parse(value)) ? '' : new Date(value).toISOString());
