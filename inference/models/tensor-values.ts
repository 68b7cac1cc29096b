import type { Tensor } from 'onnxruntime-node';
import type { OutputValues } from '../layouts/layout.ts';
import { checkOutputSizes } from './tensor-contract.ts';

/** An output as floats, whatever numbers it holds; float32 without a copy. Throws for other types, and for what no layout needs so large. */
export const outputValues = (tensor: Tensor | undefined): OutputValues => {
  if (!tensor) throw new Error('the model gave no such output');
  const { dims, data } = tensor;
  checkOutputSizes([{ name: 'of this picture', dims }]);
  if (data instanceof Float32Array) return { dims, values: data };
  if (data instanceof BigInt64Array) return { dims, values: Float32Array.from(data, Number) };
  if (data instanceof Int32Array || data instanceof Float16Array) return { dims, values: new Float32Array(data) };
  throw new Error(`an output of type ${tensor.type} holds no numbers that are understood`);
};
