/** Writes tiny ONNX models, byte by byte (onnx.proto), whose outputs depend on the picture: `base + gain × mean of the input`. */

export type ElementType = 'float32' | 'float16' | 'uint8' | 'int64';

export interface TinyOutput {
  readonly name: string;
  readonly type: 'float32' | 'float16' | 'int64';
  readonly dims: readonly number[];
  readonly base: readonly number[];
  /** Per value; none: the output is constant. */
  readonly gain?: readonly number[];
}

export interface TinyModel {
  readonly input: { readonly type: 'float32' | 'float16' | 'uint8'; readonly dims: readonly (number | string)[] };
  readonly outputs: readonly TinyOutput[];
  /**
   * The first dimension of the input is pictures, and each has its own part of every output, whose `dims` are those of one picture; 'mixed': parts
   * that depend on the mean of all pictures.
   */
  readonly batched?: true | 'mixed';
  readonly metadata?: Readonly<Record<string, string>>;
}

const ELEMENT: Readonly<Record<ElementType, number>> = { float32: 1, uint8: 2, int64: 7, float16: 10 };

const varint = (value: number): Buffer => {
  const bytes: number[] = [];
  let rest = BigInt(value);
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest === 0n ? low : low | 0x80);
  } while (rest !== 0n);
  return Buffer.from(bytes);
};
const int = (field: number, value: number): Buffer => Buffer.concat([varint(field * 8), varint(value)]);
const bytes = (field: number, ...content: readonly (Buffer | string)[]): Buffer => {
  const body = Buffer.concat(content.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
  return Buffer.concat([varint(field * 8 + 2), varint(body.length), body]);
};

const raw = (type: ElementType, values: readonly number[]): Buffer => {
  const array = type === 'int64' ? BigInt64Array.from(values, BigInt) : type === 'float16' ? Float16Array.from(values) : type === 'uint8' ? Uint8Array.from(values) : Float32Array.from(values);
  return Buffer.from(array.buffer);
};
const tensorHead = (name: string, type: ElementType, dims: readonly number[]): Buffer => Buffer.concat([...dims.map((dim) => int(1, dim)), int(2, ELEMENT[type]), bytes(8, name)]);
const tensor = (name: string, type: ElementType, dims: readonly number[], values: readonly number[]): Buffer => Buffer.concat([tensorHead(name, type, dims), bytes(9, raw(type, values))]);
const attribute = (name: string, value: number): Buffer => bytes(5, bytes(1, name), int(3, value), int(20, 2));
const listAttribute = (name: string, values: readonly number[]): Buffer => bytes(5, bytes(1, name), ...values.map((each) => int(8, each)), int(20, 7));
const node = (operator: string, inputs: readonly string[], output: string, ...attributes: readonly Buffer[]): Buffer =>
  bytes(1, ...inputs.map((input) => bytes(1, input)), bytes(2, output), bytes(4, operator), ...attributes);
const value = (field: 11 | 12, name: string, type: ElementType, dims: readonly (number | string)[]): Buffer =>
  bytes(field, bytes(1, name), bytes(2, bytes(1, int(1, ELEMENT[type]), bytes(2, ...dims.map((dim) => bytes(1, typeof dim === 'number' ? int(1, dim) : bytes(2, dim)))))));
const model = (graph: readonly Buffer[], metadata: Readonly<Record<string, string>> = {}): Buffer =>
  Buffer.concat([int(1, 8), bytes(7, ...graph, bytes(2, 'tiny')), bytes(8, bytes(1, ''), int(2, 17)), ...Object.entries(metadata).map(([key, text]) => bytes(14, bytes(1, key), bytes(2, text)))]);

/** [n] as [n, 1, …]. */
const unsqueezed = (from: string, to: string, more: number): readonly Buffer[] =>
  more === 0 ? [node('Identity', [from], to)] : [bytes(5, tensor(`${to}.axes`, 'int64', [more], Array.from({ length: more }, (_, i) => i + 1))), node('Unsqueeze', [from, `${to}.axes`], to)];

/** Outputs [n, …] of n pictures. */
const batchedModel = ({ input, outputs, batched, metadata }: TinyModel): Buffer => {
  const graph = [value(11, 'images', input.type, input.dims)];
  if (input.type !== 'float32') graph.push(node('Cast', ['images'], 'floats', attribute('to', ELEMENT.float32)));
  graph.push(node('ReduceMean', [input.type === 'float32' ? 'images' : 'floats'], 'means', listAttribute('axes', [1, 2, 3]), attribute('keepdims', 0)));
  if (batched === 'mixed') graph.push(node('ReduceMean', ['means'], 'all', attribute('keepdims', 0)), node('Mul', ['means', 'all'], 'mean'));
  else graph.push(node('Identity', ['means'], 'mean'));
  for (const { name, type, dims, base, gain = base.map(() => 0) } of outputs) {
    const [, ...own] = dims;
    graph.push(
      bytes(5, tensor(`${name}.base`, type, [1, ...own], base)), bytes(5, tensor(`${name}.gain`, 'float32', [1, ...own], gain)), ...unsqueezed('mean', `${name}.mean`, own.length),
      node('Mul', [`${name}.mean`, `${name}.gain`], `${name}.floats`), node('Cast', [`${name}.floats`], `${name}.seen`, attribute('to', ELEMENT[type])),
      node('Add', [`${name}.seen`, `${name}.base`], name), value(12, name, type, [input.dims[0] ?? 1, ...own]),
    );
  }
  return model(graph, metadata);
};

export const tinyModel = (tiny: TinyModel): Buffer => {
  if (tiny.batched) return batchedModel(tiny);
  const { input, outputs, metadata } = tiny;
  const graph = [value(11, 'images', input.type, input.dims)];
  if (input.type !== 'float32') graph.push(node('Cast', ['images'], 'floats', attribute('to', ELEMENT.float32)));
  graph.push(node('ReduceMean', [input.type === 'float32' ? 'images' : 'floats'], 'mean', attribute('keepdims', 0)), node('Cast', ['mean'], 'mean.half', attribute('to', ELEMENT.float16)));
  for (const { name, type, dims, base, gain } of outputs) {
    graph.push(bytes(5, tensor(`${name}.base`, type, dims, base)), value(12, name, type, dims));
    if (!gain) {
      graph.push(node('Identity', [`${name}.base`], name));
      continue;
    }
    if (type === 'int64') throw new Error(`${name}: only floats depend on the picture`);
    graph.push(bytes(5, tensor(`${name}.gain`, type, dims, gain)), node('Mul', [type === 'float16' ? 'mean.half' : 'mean', `${name}.gain`], `${name}.seen`), node('Add', [`${name}.seen`, `${name}.base`], name));
  }
  return model(graph, metadata);
};

/** A model of float32 [1,3,32,32] whose one output is zeros of any size, in a few bytes. */
export const modelOfZeros = (dims: readonly number[]): Buffer => model([
  value(11, 'images', 'float32', [1, 3, 32, 32]), value(12, 'output0', 'float32', dims),
  bytes(5, tensor('shape', 'int64', [dims.length], dims)), node('ConstantOfShape', ['shape'], 'output0'),
]);

/** A model whose weights lie in the file `location`. */
export const modelWithExternalData = (location: string): Buffer => model([
  value(11, 'images', 'float32', [1, 3, 32, 32]), value(12, 'output0', 'float32', [1, 2]),
  bytes(5, tensorHead('weights', 'float32', [1, 2]), bytes(13, bytes(1, 'location'), bytes(2, location)), int(14, 1)), node('Identity', ['weights'], 'output0'),
]);

/** An end-to-end detector of float32 [1,3,32,32] that finds nothing in black pictures, and fails while it looks at white ones. */
export const modelThatFailsOnWhite = (): Buffer => model([
  value(11, 'images', 'float32', [1, 3, 32, 32]), value(12, 'output0', 'float32', [1, 'boxes', 6]),
  bytes(5, tensor('rows', 'float32', [1, 2, 6], new Array<number>(12).fill(0))), bytes(5, tensor('dims', 'float32', [3], [1, 2, 6])), bytes(5, tensor('more', 'float32', [3], [0, 1, 0])),
  node('ReduceMean', ['images'], 'mean', attribute('keepdims', 0)), node('Mul', ['mean', 'more'], 'seen'), node('Add', ['dims', 'seen'], 'shape.floats'),
  node('Cast', ['shape.floats'], 'shape', attribute('to', ELEMENT.int64)), node('Reshape', ['rows', 'shape'], 'output0'),
]);

/**
 * An end-to-end detector of float32 ['n',3,32,32] that finds in each picture one box whose score is the picture's grey, and fails on all pictures
 * of a run when one of them is white.
 */
export const batchedModelThatFailsOnWhite = (): Buffer => model([
  value(11, 'images', 'float32', ['n', 3, 32, 32]), value(12, 'output0', 'float32', ['n', 'boxes', 6]),
  bytes(5, tensor('rows', 'float32', [1, 2, 6], [10, 12, 18, 16, 0, 1, 0, 0, 0, 0, 0, 0])), bytes(5, tensor('gain', 'float32', [1, 2, 6], [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])),
  bytes(5, tensor('dims', 'float32', [3], [0, 2, 6])), bytes(5, tensor('more', 'float32', [3], [0, 1, 0])),
  node('ReduceMean', ['images'], 'means', listAttribute('axes', [1, 2, 3]), attribute('keepdims', 0)), ...unsqueezed('means', 'greys', 2), node('Mul', ['greys', 'gain'], 'scores'), node('Add', ['scores', 'rows'], 'found'),
  // The mean of white may lack a little of 1, which is a row more than there are.
  bytes(5, tensor('slack', 'float32', [1], [0.001])), node('ReduceMax', ['means'], 'brightest', attribute('keepdims', 0)), node('Add', ['brightest', 'slack'], 'most'),
  node('Mul', ['most', 'more'], 'seen'), node('Add', ['dims', 'seen'], 'shape.floats'), node('Cast', ['shape.floats'], 'shape', attribute('to', ELEMENT.int64)), node('Reshape', ['found', 'shape'], 'output0'),
]);
