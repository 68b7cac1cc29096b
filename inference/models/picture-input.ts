import { toFloatPlanes } from '../preprocess.ts';
import type { Normalisation } from '../preprocess.ts';
import type { InputContract } from './tensor-contract.ts';

/** What a model is given: one picture. */
export type PictureTensor =
  | { readonly type: 'uint8'; readonly dims: readonly [1, number, number, 3]; readonly data: Uint8Array }
  | { readonly type: 'float32'; readonly dims: readonly [1, 3, number, number]; readonly data: Float32Array };

/** A model's input tensor; its buffer is reused from picture to picture. */
export class PictureInput {
  readonly contract: InputContract;
  /** Of the pixels it is made from. */
  readonly bytes: number;
  readonly #normalisation: Normalisation;
  /** For models that take floats. */
  readonly #planes: Float32Array | null;

  constructor(contract: InputContract, normalisation: Normalisation) {
    const { layout, width, height } = contract;
    this.contract = contract;
    this.bytes = 3 * width * height;
    this.#normalisation = normalisation;
    this.#planes = layout === 'u8-nhwc' ? null : new Float32Array(this.bytes);
  }

  /** `pixels`: `bytes` of them. Good until the next call. */
  tensor(pixels: Uint8Array): PictureTensor {
    const { width, height } = this.contract;
    const planes = this.#planes;
    if (planes === null) return { type: 'uint8', dims: [1, height, width, 3], data: pixels };
    toFloatPlanes(pixels, planes, this.#normalisation);
    return { type: 'float32', dims: [1, 3, height, width], data: planes };
  }
}
