import { toFloatPlanes } from '../preprocess.ts';
import type { Normalisation } from '../preprocess.ts';
import type { InputContract } from './tensor-contract.ts';

/** What a model is given: [n, height, width, 3] or [n, 3, height, width]. */
export type PictureTensor =
  | { readonly type: 'uint8'; readonly dims: readonly number[]; readonly data: Uint8Array }
  | { readonly type: 'float32'; readonly dims: readonly number[]; readonly data: Float32Array };

/** A model's input tensor; its buffer is reused from run to run. */
export class PictureInput {
  readonly contract: InputContract;
  /** Of the pixels of one picture. */
  readonly bytes: number;
  readonly #normalisation: Normalisation;
  /** For models that take floats; as large as the most pictures there were at a time. */
  #planes = new Float32Array(0);
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
    return { type: 'float32', dims: [count, 3, height, width], data: this.#floats(pictures, count) };
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
}
