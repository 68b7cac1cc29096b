import { expect, test } from 'vitest';
import { silentLogger } from '../../platform/logging.ts';
import { deviceName } from './hardware-choice.ts';
import type { HardwareMode, Machine, ProbeVerdict } from './hardware-choice.ts';
import { HardwareDevices } from './hardware-devices.ts';

const MACHINE: Machine = { platform: 'linux', renderNodes: ['/dev/dri/renderD128'], nvidia: false };
const BARE: Machine = { ...MACHINE, renderNodes: [] };
const GOOD: ProbeVerdict = { decode: ['h264', 'vp9'], encode: true, failures: {} };
const BAD: ProbeVerdict = { decode: [], encode: false, failures: { device: 'opening vaapi: no' } };
const VAAPI = { type: 'vaapi', device: '/dev/dri/renderD128' };

const setUp = async (mode: HardwareMode, machine: Machine, verdict: ProbeVerdict = GOOD) => {
  const problems: string[] = [];
  const probed: string[] = [];
  let changes = 0;
  const devices = new HardwareDevices({
    mode, machine, logger: silentLogger(), onProblem: (problem) => { problems.push(problem); },
    probe: (device) => {
      probed.push(deviceName(device));
      return Promise.resolve(verdict);
    },
  });
  devices.onChange(() => { changes++; });
  expect(devices.none).toBe(true); // software does it until it is known
  await devices.tried;
  return { devices, problems, probed, changes: () => changes };
};

test('[EXT-8] auto uses what passed, and tells the extractors once it is known', async () => {
  const { devices, problems, probed, changes } = await setUp('auto', MACHINE);
  expect(probed).toEqual(['vaapi /dev/dri/renderD128', 'qsv']);
  expect(devices.message).toEqual({ decode: { h264: VAAPI, vp9: VAAPI }, encode: VAAPI, software: [] });
  expect([devices.none, problems, changes()]).toEqual([false, [], 1]);
});

test.each([['auto', BARE, GOOD, []], ['auto', MACHINE, BAD, ['vaapi /dev/dri/renderD128', 'qsv']], ['off', MACHINE, GOOD, []]] as const)('[EXT-8] %s on %o without a device that passes is software, and no problem', async (mode, machine, verdict, tried) => {
  const { devices, problems, probed, changes } = await setUp(mode, machine, verdict);
  expect(probed).toEqual(tried);
  expect([devices.none, problems, changes()]).toEqual([true, [], 0]);
});

test.each([
  ['there is none', BARE, GOOD, /extractor\.hardware is vaapi, which cannot be used: there is no render node .*\. Video is decoded in software\./],
  ['it does not open', MACHINE, BAD, /vaapi \/dev\/dri\/renderD128: opening vaapi: no/],
  ['it shows garbage', MACHINE, { ...BAD, failures: { h264: 'its picture is not what is encoded', vp8: 'no decoder' } }, /renderD128: h264: its picture is not what is encoded, vp8: no decoder/],
] as const)('[EXT-8] a device that is named and cannot be used (%s) is a problem that says why; software does it', async (_why, machine, verdict, message) => {
  const { devices, problems } = await setUp('vaapi', machine, verdict);
  expect(devices.none).toBe(true);
  expect(problems).toEqual([expect.stringMatching(message)]);
});

test('[EXT-7] [EXT-8] a camera whose process died on a device is decoded in software from then on; after three such cameras all are', async () => {
  const { devices, changes } = await setUp('auto', MACHINE);
  devices.onCrash('in-software', 'software');
  expect([devices.message.software, changes()]).toEqual([[], 1]);
  devices.onCrash('a', 'vaapi /dev/dri/renderD128');
  devices.onCrash('a', 'vaapi /dev/dri/renderD128'); // told before it was known
  devices.onCrash('b', null); // died before it said what decodes it
  expect([devices.message.software, devices.none, changes()]).toEqual([['a', 'b'], false, 3]);
  devices.onCrash('c', 'vaapi /dev/dri/renderD128');
  expect([devices.message.decode, devices.message.encode, devices.none, changes()]).toEqual([{}, null, true, 4]);
});

test('[EXT-8] an edge that stops while a device is tried waits for nothing and tells nobody', async () => {
  let aborted = false;
  const problems: string[] = [];
  const devices = new HardwareDevices({
    mode: 'vaapi', machine: MACHINE, logger: silentLogger(), onProblem: (problem) => { problems.push(problem); },
    probe: (_device, signal) => new Promise((resolve) => {
      signal.addEventListener('abort', () => {
        aborted = true;
        resolve(BAD);
      });
    }),
  });
  devices[Symbol.dispose]();
  await devices.tried;
  expect([aborted, problems]).toEqual([true, []]);
});
