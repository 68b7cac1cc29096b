/** What a request for live pictures may ask for. Pure. */
import { MediaError } from '../../core/errors.ts';
import type { PictureFormat, PictureSpec } from '../../extractor/port.ts';

/** Sides of pictures that may be asked for, in pixels. */
export const SIDES = { least: 16, most: 4096 } as const;
/** Pictures a second. */
export const RATES = { least: 0.1, most: 60 } as const;
const DEFAULT_QUALITY = 80;
/** That of the default detector: each picture then is one it looked at. */
const DEFAULT_FPS = 15;

const FORMATS: Readonly<Record<string, PictureFormat>> = { jpeg: 'jpeg', jpg: 'jpeg', png: 'png', webp: 'webp' };
export const MEDIA_TYPES: Readonly<Record<PictureFormat, string>> = { jpeg: 'image/jpeg', png: 'image/png', webp: 'image/webp' };
const WHOLE = /^\d{1,6}$/;
const DECIMAL = /^\d{1,4}(?:\.\d{1,4})?$/;

/** `format`, `width`, `height`, `quality`, `annotated` of a snapshot; without `format` what `Accept` likes best. Throws INVALID_ARGUMENT (400), NOT_ACCEPTABLE (406). */
export const parseSnapshot = (query: URLSearchParams, accept: string | undefined): PictureSpec =>
  ({ ...sizeOf(query), format: formatOf(query, accept), quality: qualityOf(query), annotated: flagOf(query, 'annotated') });

/** `fps`, `width`, `height`, `quality`, `annotated` of an MJPEG. Throws INVALID_ARGUMENT (400). */
export const parseMjpeg = (query: URLSearchParams): { readonly spec: PictureSpec; readonly fps: number } => ({
  spec: { ...sizeOf(query), format: 'jpeg', quality: qualityOf(query), annotated: flagOf(query, 'annotated') }, fps: numberOf(query, 'fps', DECIMAL, RATES.least, RATES.most) ?? DEFAULT_FPS,
});

export interface FramesWish {
  readonly spec: PictureSpec;
  readonly fps: number;
  /** Messages carry JPEGs as they are, not as base64. */
  readonly binary: boolean;
}

/** As of an MJPEG, and `binary`. Throws INVALID_ARGUMENT (400). */
export const parseFrames = (query: URLSearchParams): FramesWish => ({ ...parseMjpeg(query), binary: flagOf(query, 'binary') });

const sizeOf = (query: URLSearchParams): Pick<PictureSpec, 'width' | 'height'> => ({ width: sideOf(query, 'width'), height: sideOf(query, 'height') });
const sideOf = (query: URLSearchParams, name: string): number | null => numberOf(query, name, WHOLE, SIDES.least, SIDES.most);
const qualityOf = (query: URLSearchParams): number => numberOf(query, 'quality', WHOLE, 1, 100) ?? DEFAULT_QUALITY;

const numberOf = (query: URLSearchParams, name: string, pattern: RegExp, least: number, most: number): number | null => {
  const text = query.get(name);
  if (text === null) return null;
  const value = pattern.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  throw new MediaError('INVALID_ARGUMENT', `${name} must be a ${pattern === WHOLE ? 'whole number' : 'number'} from ${String(least)} to ${String(most)}.`, { context: { parameter: name } });
};

const formatOf = (query: URLSearchParams, accept: string | undefined): PictureFormat => {
  const text = query.get('format');
  if (text === null) return preferredFormat(accept);
  const format = Object.hasOwn(FORMATS, text) ? FORMATS[text] : undefined;
  if (!format) throw new MediaError('INVALID_ARGUMENT', 'format must be jpeg, png or webp.', { context: { parameter: 'format' } });
  return format;
};

/** RFC 9110 §12.5.1: the format with the greatest weight; of equal ones JPEG, which costs least. Throws NOT_ACCEPTABLE when all are ruled out. */
export const preferredFormat = (accept: string | undefined): PictureFormat => {
  if (accept === undefined || accept.trim() === '') return 'jpeg';
  const weights = new Map<string, number>();
  for (const range of accept.split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    const q = parameters.find((parameter) => parameter.startsWith('q='));
    const weight = q === undefined ? 1 : Number(q.slice(2));
    if (weight >= 0 && weight <= 1) weights.set(type, weight);
  }
  const weightOf = (format: PictureFormat): number => weights.get(MEDIA_TYPES[format]) ?? weights.get('image/*') ?? weights.get('*/*') ?? 0;
  const best = (['jpeg', 'webp', 'png'] as const).reduce((one, other) => (weightOf(other) > weightOf(one) ? other : one));
  if (weightOf(best) > 0) return best;
  throw new MediaError('NOT_ACCEPTABLE', 'Pictures are image/jpeg, image/png or image/webp.', { reason: 'NO_ACCEPTABLE_FORMAT' });
};

const flagOf = (query: URLSearchParams, name: string): boolean => {
  const text = query.get(name);
  if (text === null || text === '0' || text === 'false') return false;
  if (text === '1' || text === 'true') return true;
  throw new MediaError('INVALID_ARGUMENT', `${name} must be true or false.`, { context: { parameter: name } });
};
