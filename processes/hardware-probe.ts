/** Tries one device: a child of the edge, which says what the device can be trusted with, and ends. A driver that crashes or hangs takes nothing else with it. Only the edge starts it. */
import { AV_LOG_QUIET } from 'node-av/constants';
import { Log } from 'node-av/lib';
import { probeDevice } from '../extractor/child/device-probe.ts';
import { HARDWARE_TYPES } from '../extractor/hardware/hardware-choice.ts';
import { exitWithParent } from '../platform/parent-process.ts';
import { yieldToMedia } from '../platform/process-priority.ts';

/** `type`, `device`: as `HardwareDeviceSpec`; an empty device is the first. */
export const runHardwareProbe = async (type: string, device: string): Promise<void> => {
  yieldToMedia();
  Log.setLevel(AV_LOG_QUIET);
  const parent = exitWithParent();
  const known = HARDWARE_TYPES.find((one) => one === type);
  if (!parent || !known) throw new Error('only the edge starts this, with a type of device');
  parent.send({ type: 'verdict', ...await probeDevice({ type: known, device: device === '' ? null : device }) });
};

if (import.meta.main) await runHardwareProbe(process.argv[2] ?? '', process.argv[3] ?? '');
