import { hash } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { CameraSchema, DesiredStateSchema } from '../../proto/gen/imageflow/v1/media_control_pb.ts';
import type { Camera, DesiredState as WireState } from '../../proto/gen/imageflow/v1/media_control_pb.ts';
import type { DesiredCamera, DesiredState } from '../desired-state/service.ts';
import { sceneInit } from './wire-scene.ts';

const cameraInit = (camera: DesiredCamera): MessageInitShape<typeof CameraSchema> => ({
  id: camera.id,
  name: camera.name,
  source: camera.source.type === 'file' ? { case: 'file', value: { url: camera.source.url } } : { case: 'push', value: {} },
  detectors: camera.detectors.map(({ id, model, fps, confidence, light, tracking, scene }) => ({
    id, model, fps, ...(confidence === null ? {} : { confidence }), light: [...(light ?? [])], trackingOff: tracking === false, ...(scene && { scene: sceneInit(scene) }),
  })),
  recording: camera.recording,
  distributionOff: camera.distribution === 'off',
  ...(camera.qos !== undefined && { qos: camera.qos }),
  ...(camera.priority !== undefined && { priority: camera.priority }),
  ...(camera.bandwidthHint !== undefined && { bandwidthHint: camera.bandwidthHint }),
  ...(camera.codes && { codes: { fps: camera.codes.fps, formats: [...camera.codes.formats], repeatMs: camera.codes.repeatMs } }),
  controlJson: camera.controlJson,
  ...(camera.hours && { hours: { timezone: camera.hours.timezone, times: camera.hours.times.map(({ days, from, to }) => ({ days: [...days], from, to })) } }),
  ...(typeof camera.window?.minutes === 'number' && { windowMinutes: camera.window.minutes }),
  ...(typeof camera.window?.maxBytes === 'number' && { maxBytes: BigInt(camera.window.maxBytes) }),
});

export const toWireCamera = (camera: DesiredCamera): Camera => create(CameraSchema, cameraInit(camera));

/** The desired state as it travels, with the addresses of the workers; its version covers both. */
export const toWireState = (state: DesiredState, workerAddresses: readonly string[]): WireState =>
  create(DesiredStateSchema, {
    version: hash('sha256', JSON.stringify([state.version, workerAddresses]), 'hex'),
    cameras: state.cameras.map(cameraInit),
    keys: state.keys.map((key) => ({ id: key.id, camera: key.camera, grants: key.grants, sha256: key.hash, ha1: key.ha1 })),
    tokenKeys: state.tokenKeys.map(({ kid, jwk }) => ({ kid, jwk: JSON.stringify(jwk) })),
    revokedTokens: [...state.revokedTokens],
    workerAddresses: [...workerAddresses],
    kept: state.kept.map(({ camera, from, to }) => ({ camera, from, to })),
    ...(state.confirmedHold !== undefined && { confirmedHold: state.confirmedHold }),
  });
