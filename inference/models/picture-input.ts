import { halfTables, toFloatPlanes, toHalfPlanes } from '../preprocess.ts';
import type { HalfTables, Normalisation } from '../preprocess.ts';
import type { InputContract } from './tensor-contract.ts';

/** What a model is given: [n, height, width, 3] or [n, 3, height, width]. */
export type PictureTensor =
  | { readonly type: 'uint8'; readonly dims: readonly number[]; readonly data: Uint8Array }
  | { readonly type: 'float32'; readonly dims: readonly number[]; readonly data: Float32Array }
  /** `data`: bit patterns. */
  | { readonly type: 'float16'; readonly dims: readonly number[]; readonly data: Uint16Array };

/** A model's input tensor; its buffer is reused from run to run. */
export class PictureInput {
  readonly contract: InputContract;
  /** Of the pixels of one picture. */
  readonly bytes: number;
  readonly #normalisation: Normalisation;
  /** For models that take floats; as large as the most pictures there were at a time. */
  #planes = new Float32Array(0);
  /** For models that take half floats; made when they are needed first. */
  #halves = new Uint16Array(0);
  #tables: HalfTables | undefined;
  /** For several pictures in bytes. */
  #joined = new Uint8Array(0);

  constructor(contract: InputContract, normalisation: Normalisation) {
    this.contract = contract;
    this.bytes = 3 * contract.width * contract.height;
    this.#normalisation = normalisation;
  }

  /** How many pictures a run has that so many are wanted of: where the model has a fixed number, that. */
  pictures(wanted: number): number {
    return this.contract.batch ?? wanted;
  }

  /** `pictures`: at least one, each of `bytes` pixels; what a fixed number lacks is zeros. Good until the next call. */
  tensor(pictures: readonly Uint8Array[]): PictureTensor {
    const { width, height, layout } = this.contract;
    const count = this.pictures(pictures.length);
    if (layout === 'u8-nhwc') return { type: 'uint8', dims: [count, height, width, 3], data: this.#bytes(pictures, count) };
    const dims = [count, 3, height, width];
    return layout === 'f16-nchw' ? { type: 'float16', dims, data: this.#halfFloats(pictures, count) } : { type: 'float32', dims, data: this.#floats(pictures, count) };
  }

  #bytes(pictures: readonly Uint8Array[], count: number): Uint8Array {
    const [first] = pictures;
    if (count === 1 && first) return first;
    if (this.#joined.length < count * this.bytes) this.#joined = new Uint8Array(count * this.bytes);
    const data = this.#joined.subarray(0, count * this.bytes);
    for (const [at, pixels] of pictures.entries()) data.set(pixels, at * this.bytes);
    return data.fill(0, pictures.length * this.bytes);
  }

  #floats(pictures: readonly Uint8Array[], count: number): Float32Array {
    if (this.#planes.length < count * this.bytes) this.#planes = new Float32Array(count * this.bytes);
    const data = this.#planes.subarray(0, count * this.bytes);
    for (const [at, pixels] of pictures.entries()) toFloatPlanes(pixels, data.subarray(at * this.bytes, (at + 1) * this.bytes), this.#normalisation);
    return data.fill(0, pictures.length * this.bytes);
  }

  #halfFloats(pictures: readonly Uint8Array[], count: number): Uint16Array {
    if (this.#halves.length < count * this.bytes) this.#halves = new Uint16Array(count * this.bytes);
    this.#tables ??= halfTables(this.#normalisation);
    const data = this.#halves.subarray(0, count * this.bytes);
    for (const [at, pixels] of pictures.entries()) toHalfPlanes(pixels, data.subarray(at * this.bytes, (at + 1) * this.bytes), this.#tables);
    return data.fill(0, pictures.length * this.bytes);
  }
}
