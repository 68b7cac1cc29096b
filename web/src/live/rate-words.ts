/** At which rate and on which models a camera is detected, as the edge's figures tell it. */
export interface DetectionRate {
  readonly fps: number;
  readonly full_fps: number;
  /** What its detectors run on; absent: told by an older edge. */
  readonly models?: readonly { readonly detector: string; readonly model: string; readonly full_model: string; readonly light: readonly { readonly model: string; readonly state: string }[] }[];
  /** What bounds it even without overload; `auto`: nothing. */
  readonly preset?: string;
  /** RFC 3339; null: never changed since the camera came. */
  readonly since: string | null;
  readonly cause: string | null;
}

/** Why less is detected, or shown; a cause of a later version is told as it is. */
const WHY: Readonly<Record<string, string>> = {
  worker_busy: 'the detector has no room for more',
  queue_wait: 'pictures waited too long for the detector',
  extractor_busy: 'decoding does not keep up',
  cpu_busy: 'the machine has no idle time',
};

/** Of a change, as the end of a sentence. */
export const sinceAndWhy = ({ since, cause }: Pick<DetectionRate, 'since' | 'cause'>, at: (moment: number) => string): string => {
  const when = since === null ? '' : ` since ${at(Date.parse(since))}`;
  return when + (cause === 'recovered' ? ': it is on its way back' : cause === null || cause === 'settings' ? '' : `: ${WHY[cause] ?? cause}`);
};

/** Nothing while a camera is detected as it should be, at full rate and on its own models. `at` says a moment as the page does. */
export const rateInWords = ({ fps, full_fps: full, models = [], since, cause }: DetectionRate, at: (moment: number) => string): string | null => {
  const lighter = [...new Set(models.filter(({ model, full_model: own }) => model !== own).map(({ model }) => model))];
  if (fps >= full && lighter.length === 0) return null;
  const how = [...(fps < full ? [` at ${String(fps)} of ${String(full)} pictures a second`] : []), ...(lighter.length > 0 ? [` with the lighter model${lighter.length > 1 ? 's' : ''} ${lighter.join(' and ')}`] : [])].join(',');
  return `Detected${how}${sinceAndWhy({ since, cause }, at)}.`;
};
