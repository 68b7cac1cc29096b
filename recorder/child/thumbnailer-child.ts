import { availableParallelism } from 'node:os';
import type { Duplex } from 'node:stream';
import { messageOf } from '../../core/errors.ts';
import { PictureMessageReader, decodeRequest, encodeMessage } from '../picture-protocol.ts';
import type { PictureRequest } from '../picture-protocol.ts';
import { Canvas } from './canvas.ts';
import { decodeLast } from './still-decoder.ts';
import { encodeStill } from './still-encoder.ts';

/** Draws the recorded pictures of a request on one canvas and encodes it. Throws when not one of them can be decoded. */
export const makePicture = (request: PictureRequest, bytes: Buffer, cores = availableParallelism()): Buffer => {
  const canvas = new Canvas(request.width, request.height, request.format);
  let position = 0;
  let drawn = 0;
  let failure: unknown;
  for (const tile of request.tiles) {
    const units = tile.units.map((length) => bytes.subarray(position, position += length));
    try {
      using frame = decodeLast(Buffer.from(tile.decoderConfig, 'base64'), units, cores);
      canvas.draw(frame, tile);
      drawn++;
    } catch (error) {
      failure = error; // its place stays black
    }
  }
  if (drawn === 0) throw failure;
  return encodeStill(canvas, request.format);
};

/** The thumbnailer process: a request comes by the pipe, its picture goes back. One at a time; control asks no sooner. */
export const serveThumbnails = (pipe: Duplex): void => {
  const reader = new PictureMessageReader((json, bytes) => {
    const request = decodeRequest(json, bytes);
    let answer: Buffer[];
    try {
      answer = encodeMessage({ id: request.id, error: null }, [makePicture(request, bytes)]);
    } catch (error) {
      answer = encodeMessage({ id: request.id, error: messageOf(error).slice(0, 1_000) }, []);
    }
    for (const piece of answer) pipe.write(piece);
  });
  pipe.on('data', (chunk: Buffer) => { reader.push(chunk); });
};
