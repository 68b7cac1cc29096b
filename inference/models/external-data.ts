/**
 * Finds tensors whose values lie in another file (`TensorProto.external_data`), which may be any file of this machine: a model is one
 * file here. Looks at the wire format alone, as deep as onnx.proto nests.
 */
import { MediaError } from '../../core/errors.ts';
import { Wire } from './onnx-metadata.ts';

type Message = 'model' | 'graph' | 'node' | 'function' | 'attribute' | 'sparse' | 'tensor';

/** Fields of each message that may hold tensors (onnx.proto). */
const NESTED: Readonly<Record<Message, Readonly<Record<number, Message>>>> = {
  model: { 7: 'graph', 25: 'function' },
  graph: { 1: 'node', 5: 'tensor', 15: 'sparse' },
  node: { 5: 'attribute' },
  function: { 7: 'node' },
  attribute: { 5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse', 23: 'sparse' },
  sparse: { 1: 'tensor', 2: 'tensor' },
  tensor: {},
};
const EXTERNAL_DATA = 13;
const MAX_DEPTH = 64;

const refuse = (why: string): MediaError => new MediaError('INVALID_ARGUMENT', why);

const visit = (bytes: Uint8Array, start: number, end: number, message: Message, depth: number): void => {
  if (depth > MAX_DEPTH) throw refuse('its graphs are nested too deeply');
  const wire = new Wire(bytes, start, end);
  while (!wire.done) {
    const tag = wire.varint();
    const field = Math.floor(tag / 8);
    if (tag % 8 !== 2) { wire.skip(tag % 8); continue; }
    const [from, to] = wire.span();
    if (message === 'tensor' && field === EXTERNAL_DATA) throw refuse('it keeps weights in another file (external data); export the model as one file');
    const nested = NESTED[message][field];
    if (nested) visit(bytes, from, to, nested, depth + 1);
  }
};

/** Throws INVALID_ARGUMENT for a model that is not one file, or is no protobuf. */
export const refuseExternalData = (model: Uint8Array): void => { visit(model, 0, model.length, 'model', 0); };
