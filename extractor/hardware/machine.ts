import { existsSync, readdirSync } from 'node:fs';
import type { Machine } from './hardware-choice.ts';

const DRI = '/dev/dri';
const RENDER_NODE = /^renderD\d+$/;

/** What this machine shows of its devices. Reads two folders; opens no device. */
export const thisMachine = (): Machine => ({ platform: process.platform, renderNodes: renderNodes(), nvidia: existsSync('/dev/nvidiactl') || existsSync('/dev/dxg') });

const renderNodes = (): readonly string[] => {
  try {
    return readdirSync(DRI).filter((name) => RENDER_NODE.test(name)).toSorted().map((name) => `${DRI}/${name}`);
  } catch {
    return []; // no such folder: no graphics driver, or a container that was given none
  }
};
