/** The vocabulary of `inference/port.ts` to and from the messages of `imageflow.v1`. */
import { create } from '@bufbuild/protobuf';
import { Backend, InputLayout, ModelSchema, ModelState } from '../proto/gen/imageflow/v1/inference_pb.ts';
import type { Model } from '../proto/gen/imageflow/v1/inference_pb.ts';
import type { ModelInfo } from './port.ts';

const LAYOUTS = { 'u8-nhwc': InputLayout.U8_NHWC, 'f32-nchw': InputLayout.F32_NCHW, 'f16-nchw': InputLayout.F16_NCHW } as const;
const STATES = { loading: ModelState.LOADING, ready: ModelState.READY, failed: ModelState.FAILED } as const;

/** `mostUnanswered` as in the message. */
export const toModelMessage = (info: ModelInfo, mostUnanswered: number): Model =>
  create(ModelSchema, {
    name: info.name,
    digest: info.digest,
    backend: info.backend === 'kserve' ? Backend.KSERVE : Backend.ONNX,
    inputWidth: info.inputWidth,
    inputHeight: info.inputHeight,
    inputLayout: LAYOUTS[info.inputLayout],
    labels: [...info.labels],
    defaultConfidence: info.defaultConfidence,
    state: STATES[info.state],
    failure: info.failure ?? '',
    batch: info.batch.pictures,
    batchReason: info.batch.why,
    mostUnanswered,
    provider: info.provider?.name ?? '',
    providerReason: info.provider?.why ?? '',
  });

/** A state this version does not know is as good as failed. */
const stateOf = (state: ModelState): ModelInfo['state'] =>
  state === ModelState.READY ? 'ready' : state === ModelState.LOADING ? 'loading' : 'failed';

/** One this version does not know is none that it has to know: pictures are sent as bytes. */
const layoutOf = (layout: InputLayout): ModelInfo['inputLayout'] =>
  layout === InputLayout.F32_NCHW ? 'f32-nchw' : layout === InputLayout.F16_NCHW ? 'f16-nchw' : 'u8-nhwc';

export const fromModelMessage = (message: Model): ModelInfo => ({
  name: message.name,
  digest: message.digest,
  backend: message.backend === Backend.KSERVE ? 'kserve' : 'onnx',
  inputWidth: message.inputWidth,
  inputHeight: message.inputHeight,
  inputLayout: layoutOf(message.inputLayout),
  labels: message.labels,
  defaultConfidence: message.defaultConfidence,
  batch: { pictures: Math.max(1, message.batch), why: message.batchReason },
  provider: message.provider === '' ? null : { name: message.provider, why: message.providerReason },
  state: stateOf(message.state),
  failure: message.failure === '' ? null : message.failure,
});
