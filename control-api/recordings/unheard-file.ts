import { readBoxHeader } from '../../core/fmp4/box-reader.ts';
import { UNHEARD_HANDLER, soundHandlersOf } from '../../core/fmp4/sound-handlers.ts';
import type { RecordedFile } from '../../recorder/port.ts';

/** The `moov` of a recorded file ends before this: it describes two tracks and no sample. */
const HEAD_BYTES = 64 << 10;

/**
 * A recorded file whose sound players do not see: the same bytes but for the four that say that its second track is sound. As init segment of a playlist
 * in which only some files have sound it lets all of them be played, without sound.
 */
export const unheard = (file: RecordedFile): RecordedFile => ({
  byteLength: file.byteLength,
  contentType: file.contentType,
  etag: `${file.etag.slice(0, -1)}-unheard"`,
  async *read(start, end, signal) {
    const handlers = start < HEAD_BYTES ? await handlersOf(file, signal) : [];
    let at = start;
    for await (const piece of file.read(start, end, signal)) {
      yield handlers.some((handler) => handler + 4 > at && handler < at + piece.length) ? changed(piece, at, handlers) : piece;
      at += piece.length;
    }
  },
});

const handlersOf = async (file: RecordedFile, signal: AbortSignal): Promise<readonly number[]> => {
  const pieces: Buffer[] = [];
  for await (const piece of file.read(0, Math.min(HEAD_BYTES, file.byteLength), signal)) pieces.push(piece);
  const head = Buffer.concat(pieces);
  for (let box = readBoxHeader(head, 0, 0, head.length); box && box.end <= head.length; box = readBoxHeader(head, box.end, 0, head.length)) {
    if (box.type === 'moov') return soundHandlersOf(head.subarray(0, box.end));
  }
  return [];
};

/** A copy of a file's bytes from `at` on; a range may begin or end within the four. */
const changed = (piece: Buffer, at: number, handlers: readonly number[]): Buffer => {
  const copy = Buffer.from(piece);
  for (const handler of handlers) {
    for (let i = 0; i < UNHEARD_HANDLER.length; i++) {
      const place = handler + i - at;
      if (place >= 0 && place < copy.length) copy[place] = UNHEARD_HANDLER.charCodeAt(i);
    }
  }
  return copy;
};
