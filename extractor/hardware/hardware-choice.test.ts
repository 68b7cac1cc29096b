import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CODECS, HARDWARE_TYPES, chooseDevices, deviceName, hardwareCandidates, whyInVain } from './hardware-choice.ts';
import type { HardwareMode, Machine, ProbeVerdict } from './hardware-choice.ts';

const BARE: Machine = { platform: 'linux', renderNodes: [], nvidia: false };
const TWO_GRAPHICS: Machine = { ...BARE, renderNodes: ['/dev/dri/renderD128', '/dev/dri/renderD129'] };
const ALL: Machine = { ...TWO_GRAPHICS, nvidia: true };
const names = (mode: HardwareMode, machine: Machine): string[] => hardwareCandidates(mode, machine).map(deviceName);

test.each([
  ['auto', BARE, []],
  ['auto', TWO_GRAPHICS, ['vaapi /dev/dri/renderD128', 'vaapi /dev/dri/renderD129', 'qsv']],
  ['auto', ALL, ['cuda', 'vaapi /dev/dri/renderD128', 'vaapi /dev/dri/renderD129', 'qsv']],
  ['auto', { ...BARE, nvidia: true }, ['cuda']],
  ['auto', { ...BARE, platform: 'darwin' }, ['videotoolbox']],
  ['auto', { ...BARE, platform: 'win32' }, ['cuda', 'qsv']],
  ['auto', { ...BARE, platform: 'freebsd' }, []],
  ['off', ALL, []],
  ['vaapi', ALL, ['vaapi /dev/dri/renderD128', 'vaapi /dev/dri/renderD129']],
  ['qsv', ALL, ['qsv']],
  ['cuda', ALL, ['cuda']],
  ['cuda', TWO_GRAPHICS, []],
  ['vaapi', { ...ALL, platform: 'darwin' }, []],
] as const)('[EXT-8] %s on %o tries %o', (mode, machine, expected) => { expect(names(mode, machine)).toEqual(expected); });

test('[EXT-8] a type that is named and not tried has a reason; what is tried has none', () => {
  expect(whyInVain('vaapi', BARE)).toContain('/dev/dri/renderD');
  expect(whyInVain('cuda', BARE)).toContain('NVIDIA');
  expect(whyInVain('videotoolbox', BARE)).toContain('linux');
  const machine = fc.record({ platform: fc.constantFrom<NodeJS.Platform[]>('linux', 'darwin', 'win32'), renderNodes: fc.array(fc.string()), nvidia: fc.boolean() });
  fc.assert(fc.property(machine, fc.constantFrom(...HARDWARE_TYPES), (one, type) => { expect(hardwareCandidates(type, one).length > 0).toBe(whyInVain(type, one) === null); }));
});

test('[EXT-8] each codec is decoded on the first device that passed for it, others in software', () => {
  const verdict = (over: Partial<ProbeVerdict>): ProbeVerdict => ({ decode: [], encode: false, failures: {}, ...over });
  const [cuda, vaapi] = [{ type: 'cuda', device: null }, { type: 'vaapi', device: '/dev/dri/renderD128' }] as const;
  expect(chooseDevices([])).toEqual({ decode: {}, encode: null });
  expect(chooseDevices([{ device: cuda, verdict: verdict({ decode: ['h264', 'h265'] }) }, { device: vaapi, verdict: verdict({ decode: ['h264', 'av1'], encode: true }) }]))
    .toEqual({ decode: { h264: cuda, h265: cuda, av1: vaapi }, encode: vaapi });
  fc.assert(fc.property(fc.array(fc.record({ decode: fc.subarray([...CODECS]), encode: fc.boolean() }), { maxLength: 4 }), (verdicts) => {
    const probed = verdicts.map((one, i) => ({ device: { type: 'vaapi', device: String(i) } as const, verdict: verdict(one) }));
    const { decode } = chooseDevices(probed);
    for (const codec of CODECS) expect(decode[codec]?.device).toBe(probed.find((one) => one.verdict.decode.includes(codec))?.device.device);
  }));
});
