/** The vocabulary of `inference/port.ts` to and from the messages of `imageflow.v1`. */
import { create } from '@bufbuild/protobuf';
import { Backend, InputLayout, ModelSchema, ModelState } from '../proto/gen/imageflow/v1/inference_pb.ts';
import type { Model } from '../proto/gen/imageflow/v1/inference_pb.ts';
import type { ModelInfo } from './port.ts';

const STATES = { loading: ModelState.LOADING, ready: ModelState.READY, failed: ModelState.FAILED } as const;

/** `mostUnanswered` as in the message. */
export const toModelMessage = (info: ModelInfo, mostUnanswered: number): Model =>
  create(ModelSchema, {
    name: info.name,
    digest: info.digest,
    backend: info.backend === 'kserve' ? Backend.KSERVE : Backend.ONNX,
    inputWidth: info.inputWidth,
    inputHeight: info.inputHeight,
    inputLayout: info.inputLayout === 'u8-nhwc' ? InputLayout.U8_NHWC : InputLayout.F32_NCHW,
    labels: [...info.labels],
    defaultConfidence: info.defaultConfidence,
    state: STATES[info.state],
    failure: info.failure ?? '',
    batch: info.batch.pictures,
    batchReason: info.batch.why,
    mostUnanswered,
  });

/** A state this version does not know is as good as failed. */
const stateOf = (state: ModelState): ModelInfo['state'] =>
  state === ModelState.READY ? 'ready' : state === ModelState.LOADING ? 'loading' : 'failed';

export const fromModelMessage = (message: Model): ModelInfo => ({
  name: message.name,
  digest: message.digest,
  backend: message.backend === Backend.KSERVE ? 'kserve' : 'onnx',
  inputWidth: message.inputWidth,
  inputHeight: message.inputHeight,
  inputLayout: message.inputLayout === InputLayout.F32_NCHW ? 'f32-nchw' : 'u8-nhwc',
  labels: message.labels,
  defaultConfidence: message.defaultConfidence,
  batch: { pictures: Math.max(1, message.batch), why: message.batchReason },
  state: stateOf(message.state),
  failure: message.failure === '' ? null : message.failure,
});
