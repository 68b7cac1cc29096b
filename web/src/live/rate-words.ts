/** At which rate a camera is detected, as the edge's figures tell it. */
export interface DetectionRate {
  readonly fps: number;
  readonly full_fps: number;
  /** What bounds it even without overload; `auto`: nothing. */
  readonly preset?: string;
  /** RFC 3339; null: never changed since the camera came. */
  readonly since: string | null;
  readonly cause: string | null;
}

/** Why less is detected; a cause of a later version is told as it is. */
const WHY: Readonly<Record<string, string>> = {
  worker_busy: 'the detector has no room for more',
  queue_wait: 'pictures waited too long for the detector',
  extractor_busy: 'decoding does not keep up',
  cpu_busy: 'the machine has no idle time',
};

/** Nothing while a camera is detected as it should be. `at` says a moment as the page does. */
export const rateInWords = ({ fps, full_fps: full, since, cause }: DetectionRate, at: (moment: number) => string): string | null => {
  if (fps >= full) return null;
  const when = since === null ? '' : ` since ${at(Date.parse(since))}`;
  const why = cause === 'recovered' ? ': it is on its way back' : cause === null || cause === 'settings' ? '' : `: ${WHY[cause] ?? cause}`;
  return `Detected at ${String(fps)} of ${String(full)} pictures a second${when}${why}.`;
};
