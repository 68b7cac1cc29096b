/** Pictures out of recordings: which access units they need, and the results kept for those who ask again. */
import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { MediaError } from '../core/errors.ts';
import { decoderConfigOf } from '../core/fmp4/init-reader.ts';
import type { Milliseconds } from '../core/units.ts';
import type { Logger } from '../platform/logging.ts';
import { inOrder } from './in-order.ts';
import { keyPictureAt, pictureAt } from './picture-selection.ts';
import type { SelectedPicture } from './picture-selection.ts';
import type { PictureFormat, PlaybackRange, RecordedPicture, RecordedPictures, SegmentRecord, SpriteSheet } from './port.ts';
import { isGone, readExactly } from './segment-file.ts';
import type { SegmentFiles } from './segment-file.ts';
import type { SegmentIndexCache } from './segment-index.ts';
import type { SegmentIndex } from './segment-scan.ts';
import type { PictureMaker, PictureWork } from './thumbnailer.ts';

const MAX_CACHED_BYTES = 32 << 20;
const CONCURRENT_READS = 3;
const COLUMNS = 10;

/** Where one picture's access units lie. */
interface Located {
  readonly width: number;
  readonly height: number;
  readonly decoderConfig: Buffer;
  readonly wall: Milliseconds;
  readonly runs: readonly { readonly segment: SegmentRecord; readonly offsets: readonly number[]; readonly lengths: readonly number[] }[];
}

export class RecordedPictureReader implements RecordedPictures {
  readonly #files: SegmentFiles;
  readonly #indexes: SegmentIndexCache;
  readonly #maker: PictureMaker;
  readonly #logger: Logger;
  readonly #made = new LRUCache<string, Buffer>({ maxSize: MAX_CACHED_BYTES, sizeCalculation: ({ length }) => length + 256 });
  readonly #making = new Map<string, Promise<Buffer>>();

  constructor(options: { readonly files: SegmentFiles; readonly indexes: SegmentIndexCache; readonly maker: PictureMaker; readonly logger: Logger }) {
    this.#files = options.files;
    this.#indexes = options.indexes;
    this.#maker = options.maker;
    this.#logger = options.logger;
  }

  async picture(at: Milliseconds, segments: readonly SegmentRecord[], width: number | null, format: PictureFormat, signal: AbortSignal): Promise<RecordedPicture> {
    const found = await this.#indexed(segments, signal);
    const selected = pictureAt(found.map(({ index }) => index), at);
    const located = selected && locate(found, selected);
    if (!located) throw nothing();
    const size = scaled(located, width);
    const { wall } = located;
    const tile = { left: 0, top: 0, ...size };
    return { ...this.#file(`picture ${identity(located)} ${JSON.stringify([size, format])}`, format, [{ tile, located }], size), wall };
  }

  async sprites(range: PlaybackRange, segments: readonly SegmentRecord[], count: number, width: number, format: PictureFormat, signal: AbortSignal): Promise<SpriteSheet> {
    const step = (range.to - range.from) / count;
    const moments = Array.from({ length: count }, (_, i) => range.from + i * step);
    const pictures = await inOrder(moments, CONCURRENT_READS, async (moment) => {
      const segment = segments.find(({ start, duration }) => start <= moment && moment < start + duration);
      const [found] = segment ? await this.#indexed([segment], signal) : [];
      const selected = found && keyPictureAt(found.index, moment);
      return found && selected ? locate([found], selected) : undefined;
    });
    const first = pictures.find((each) => each !== undefined);
    if (!first) throw nothing();
    const size = scaled(first, width);
    const columns = Math.min(COLUMNS, count);
    const sheet = { width: columns * size.width, height: Math.ceil(count / columns) * size.height };
    const tiles = pictures.flatMap((located, i) => (located ? [{ located, i, tile: { left: (i % columns) * size.width, top: Math.floor(i / columns) * size.height, ...size } }] : []));
    const key = `sheet ${tiles.map(({ located, i }) => `${String(i)} ${identity(located)}`).join(' ')} ${JSON.stringify([size, columns, count, format])}`;
    return { ...this.#file(key, format, tiles, sheet), tiles: tiles.map(({ i, tile }) => ({ from: i * step, to: (i + 1) * step, ...tile })) };
  }

  #file(key: string, format: PictureFormat, tiles: readonly { readonly tile: { left: number; top: number; width: number; height: number }; readonly located: Located }[], size: { width: number; height: number }) {
    const digest = hash('sha256', key, 'base64url').slice(0, 22);
    return {
      ...size, etag: `"${digest}"`, contentType: format === 'jpeg' ? 'image/jpeg' as const : 'image/webp' as const,
      bytes: async (signal: AbortSignal): Promise<Buffer> => {
        const made = this.#made.get(digest);
        if (made) return made;
        // Others may wait for the same one: it is not bound to who asked first.
        const making = this.#making.get(digest) ?? this.#make(tiles, size, format).finally(() => { this.#making.delete(digest); });
        this.#making.set(digest, making);
        const bytes = await making;
        this.#made.set(digest, bytes);
        signal.throwIfAborted();
        return bytes;
      },
    };
  }

  async #make(tiles: readonly { readonly tile: { left: number; top: number; width: number; height: number }; readonly located: Located }[], size: { width: number; height: number }, format: PictureFormat): Promise<Buffer> {
    const read = await inOrder(tiles, CONCURRENT_READS, ({ located }) => this.#units(located));
    const work: PictureWork = {
      ...size, format,
      tiles: tiles.map(({ tile, located }, i) => ({ ...tile, decoderConfig: located.decoderConfig.toString('base64'), units: (read[i] ?? []).map(({ length }) => length) })),
    };
    return await this.#maker.make(work, read.flat(), NEVER);
  }

  async #units({ runs }: Located): Promise<Buffer[]> {
    const units: Buffer[] = [];
    for (const { segment, offsets, lengths } of runs) {
      const start = offsets[0] ?? 0;
      await using file = await this.#files.open(segment);
      const bytes = await readExactly(file, start, (offsets.at(-1) ?? 0) + (lengths.at(-1) ?? 0) - start);
      for (const [i, offset] of offsets.entries()) units.push(bytes.subarray(offset - start, offset - start + (lengths[i] ?? 0)));
    }
    return units;
  }

  /** A file that has gone since the list was made is left out. */
  async #indexed(segments: readonly SegmentRecord[], signal: AbortSignal): Promise<Indexed[]> {
    const found = await inOrder(segments, CONCURRENT_READS, async (segment) => {
      signal.throwIfAborted();
      try {
        return { segment, index: await this.#indexes.get(segment) };
      } catch (error) {
        if (!isGone(error)) throw error;
        this.#logger.warn({ segment: segment.id, err: error }, 'recording left out of a picture');
        return undefined;
      }
    });
    return found.filter((each) => each !== undefined);
  }
}

interface Indexed { readonly segment: SegmentRecord; readonly index: SegmentIndex }

const NEVER = new AbortController().signal;

const nothing = (): MediaError => new MediaError('NOT_FOUND', 'Nothing was recorded at this moment.', { reason: 'NOTHING_RECORDED' });

/** Undefined for pictures no decoder here takes. */
const locate = (found: readonly Indexed[], { parts, wall }: SelectedPicture): Located | undefined => {
  const runs = parts.flatMap(({ index: at, first, last }) => {
    const entry = found[at];
    const video = entry?.index.tracks.find(({ track, samples }) => track.kind === 'video' && samples.length > 0);
    if (!entry || !video || last <= first) return [];
    const numbers = Array.from({ length: last - first }, (_, i) => first + i);
    return [{ segment: entry.segment, track: video.track, offsets: numbers.map((i) => video.samples.offset[i] ?? 0), lengths: numbers.map((i) => video.samples.bytes[i] ?? 0) }];
  });
  const track = runs.at(-1)?.track;
  const decoderConfig = track && decoderConfigOf(track.sampleEntry);
  return decoderConfig && { width: track.width, height: track.height, decoderConfig, wall, runs };
};

/** The same for the same recorded bytes. */
const identity = ({ runs }: Located): string => runs.map(({ segment, offsets, lengths }) => `${segment.id} ${String(offsets[0])} ${String(offsets.at(-1))} ${String(lengths.at(-1))}`).join(' ');

/** In even pixels, never larger than it was. */
const scaled = (picture: { readonly width: number; readonly height: number }, width: number | null) => {
  if (width === null || width >= picture.width) return { width: picture.width, height: picture.height };
  const even = (size: number): number => Math.max(2, Math.round(size / 2) * 2);
  return { width: even(width), height: even((picture.height * width) / picture.width) };
};
