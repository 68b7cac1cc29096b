import { MediaError } from '../../core/errors.ts';
import { describeOutput } from '../layouts/layout.ts';
import type { OutputShape, OutputValues } from '../layouts/layout.ts';

/**
 * What each of the pictures of one run got: outputs [n, …] as n times [1, …], without a copy. One picture's outputs are as they came,
 * whatever their shape. Throws UNPROCESSABLE for an output that has not one part for each picture.
 */
export const splitOutputs = (outputs: readonly OutputValues[], pictures: number): readonly (readonly OutputValues[])[] => {
  if (pictures === 1) return [outputs];
  for (const { dims } of outputs) if (dims[0] !== pictures) throw new MediaError('UNPROCESSABLE', `an output [${dims.join(',')}] has not one part for each of ${pictures} pictures`);
  return Array.from({ length: pictures }, (_, at) => outputs.map(({ dims, values }) => {
    const size = values.length / pictures;
    return { dims: [1, ...dims.slice(1)], values: values.subarray(at * size, (at + 1) * size) };
  }));
};

/** The same for shapes alone, of one of the pictures. */
export const shapesOfOne = (outputs: readonly OutputShape[], pictures: number): readonly OutputShape[] => {
  if (pictures === 1) return outputs;
  return outputs.map((output) => {
    if (output.dims[0] !== pictures) throw new MediaError('UNPROCESSABLE', `the output ${output.name.slice(0, 100)} ${describeOutput(output)} has not one part for each of ${pictures} pictures`);
    return { ...output, dims: [1, ...output.dims.slice(1)] };
  });
};
