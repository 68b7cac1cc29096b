import { stat } from 'node:fs/promises';
import type { Duplex } from 'node:stream';
import type { Frame } from 'node-av/lib';
import { paintBoxes } from '../../core/drawing/box-painter.ts';
import type { DrawnBox } from '../../core/drawing/drawn-box.ts';
import { messageOf } from '../../core/errors.ts';
import { decodeExportMessage } from '../export-protocol.ts';
import type { ExportAnswer, ExportMessage } from '../export-protocol.ts';
import { PictureMessageReader } from '../picture-protocol.ts';
import { DiskFullError, Mp4Encoder, TooLargeError } from './mp4-encoder.ts';
import { PictureFitter } from './picture-fitter.ts';
import { PictureStreamDecoder } from './picture-stream-decoder.ts';

/** What was said of a picture that is shown or only decoded. */
interface Said {
  readonly at: number | null;
  readonly boxes: readonly DrawnBox[];
}

/** Makes one file out of the messages that come: decodes, draws, encodes. */
export class ExportChild implements Disposable {
  #target: Extract<ExportMessage, { type: 'begin' }> | undefined;
  #decoder: PictureStreamDecoder<Said> | undefined;
  #output: { readonly fitter: PictureFitter; readonly encoder: Mp4Encoder } | undefined;

  /** Throws why the file cannot be made. */
  take(message: Exclude<ExportMessage, { type: 'end' }>, bytes: Buffer): void {
    switch (message.type) {
      case 'begin':
        this.#target = message;
        return;
      case 'stream':
        this.#endStream();
        this.#decoder = new PictureStreamDecoder(Buffer.from(message.decoderConfig, 'base64'), (frame, said) => { this.#show(frame, said); });
        return;
      case 'picture':
        this.#decoder?.decode(bytes, message);
    }
  }

  /** Nothing more comes; `length`: milliseconds of the whole. Undefined: there was no picture to show. Rejects with why the file cannot be made. */
  async finish(length: number): Promise<{ readonly bytes: number; readonly pictures: number } | undefined> {
    this.#endStream();
    if (this.#output === undefined || this.#target === undefined) return undefined;
    await this.#output.encoder.finish(length);
    return { bytes: (await stat(this.#target.path)).size, pictures: this.#output.encoder.pictures };
  }

  [Symbol.dispose](): void {
    this.#decoder?.[Symbol.dispose]();
    this.#output?.encoder[Symbol.dispose]();
  }

  #endStream(): void {
    this.#decoder?.finish();
    this.#decoder?.[Symbol.dispose]();
    this.#decoder = undefined;
  }

  #show(frame: Frame, { at, boxes }: Said): void {
    if (at === null || this.#target === undefined) return;
    this.#output ??= this.#begin(frame, this.#target);
    const { fitter, encoder } = this.#output;
    const { picture, bytes, fit } = fitter.fit(frame);
    paintBoxes(picture, boxes, fit);
    encoder.encode(bytes, at);
  }

  #begin(frame: Frame, { path, fps, maxBytes }: Extract<ExportMessage, { type: 'begin' }>) {
    const fitter = new PictureFitter(frame);
    return { fitter, encoder: new Mp4Encoder(path, fitter.size, fitter.colours, fps, maxBytes) };
  }
}

const whyOf = (error: unknown): 'disk_full' | 'too_large' | 'other' => {
  if (error instanceof DiskFullError) return 'disk_full';
  return error instanceof TooLargeError ? 'too_large' : 'other';
};

/** The exporter process: one file, made of what comes by the pipe; then one answer. What comes after a failure is thrown away. */
export const serveExport = (pipe: Duplex, answer: (answer: ExportAnswer) => void): void => {
  const child = new ExportChild();
  let over = false;
  const finish = async (length: number): Promise<void> => {
    const made = await child.finish(length);
    answer(made === undefined ? { type: 'failed', why: 'no_picture', message: 'no picture could be decoded' } : { type: 'done', ...made });
  };
  const fail = (error: unknown): void => {
    over = true;
    answer({ type: 'failed', why: whyOf(error), message: messageOf(error).slice(0, 1_000) });
  };
  const reader = new PictureMessageReader((json, bytes) => {
    if (over) return;
    const message = decodeExportMessage(json);
    if (message.type !== 'end') {
      child.take(message, bytes);
      return;
    }
    over = true;
    finish(message.length).catch(fail);
  });
  pipe.on('data', (chunk: Buffer) => {
    if (over) return;
    try {
      reader.push(chunk);
    } catch (error) {
      fail(error);
    }
  });
};
