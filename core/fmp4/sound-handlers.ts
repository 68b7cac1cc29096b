/** Where the `moov` of an init segment says that a track is sound (ISO/IEC 14496-12:2022 §8.4.3). */
import { childBoxes, findBox } from './box-reader.ts';

/** Of a track that is neither picture nor sound: players leave it out, and its samples with it. As long as `soun`. */
export const UNHEARD_HANDLER = 'meta';

/** Offsets of `handler_type`, of each track of sound in `init`, which begins a file and ends with its `moov`. Throws INVALID_ARGUMENT for what is malformed. */
export const soundHandlersOf = (init: Buffer): number[] => {
  const moov = findBox(childBoxes(init, 0, init.length), 'moov');
  const traks = moov ? childBoxes(init, moov.payload, moov.end).filter(({ type }) => type === 'trak') : [];
  return traks.flatMap((trak) => {
    const mdia = findBox(childBoxes(init, trak.payload, trak.end), 'mdia');
    const hdlr = mdia && findBox(childBoxes(init, mdia.payload, mdia.end), 'hdlr');
    const at = (hdlr?.payload ?? 0) + 8; // behind version, flags and pre_defined
    return hdlr && init.toString('latin1', at, at + 4) === 'soun' ? [at] : [];
  });
};
