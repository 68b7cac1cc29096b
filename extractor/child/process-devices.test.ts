import { expect, test } from 'vitest';
import { ProcessDevices } from './process-devices.ts';

const VAAPI = { type: 'vaapi', device: '/dev/dri/renderD128' } as const;

test('[EXT-7][EXT-8] a device that keeps a picture encodes for no camera of the process any more; when two threads are lost the process begins anew', () => {
  let begunAnew = 0;
  using devices = new ProcessDevices(() => { begunAnew++; });
  devices.set({ decode: { h264: VAAPI }, encode: VAAPI, software: ['gate'] });
  const name = devices.encodingDevice('belt') ?? '';
  expect([name, devices.encodingDevice('gate')]).toEqual(['vaapi /dev/dri/renderD128', null]);
  devices.stuck(name);
  expect([devices.encodingDevice('belt'), devices.encodingDevice('press'), devices.device('belt', 'h264'), begunAnew]).toEqual([null, null, name, 0]);
  devices.stuck(name);
  devices.stuck(name);
  expect(begunAnew).toBe(1);
});
