import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { listSupportedBackends } from 'onnxruntime-node';
import type { ProviderMachine } from '../models/provider-choice.ts';

const LIBRARIES: Readonly<Partial<Record<NodeJS.Platform, (provider: string) => string>>> = {
  linux: (provider) => `libonnxruntime_providers_${provider}.so`,
  win32: (provider) => `onnxruntime_providers_${provider}.dll`,
};

/** What ONNX Runtime offers here, and what this machine shows of its devices. Reads folders; opens no device. */
export const thisMachine = (): ProviderMachine => {
  const backends = listSupportedBackends();
  return {
    platform: process.platform,
    offered: backends.map(({ name }) => name),
    withoutLibrary: backends.filter(({ name, bundled }) => !bundled && !hasLibrary(name)).map(({ name }) => name),
    nvidia: existsSync('/dev/nvidiactl') || existsSync('/dev/dxg'),
    renderNode: hasRenderNode(),
  };
};

/** Where ONNX Runtime looks for it: beside itself. */
const hasLibrary = (provider: string): boolean => {
  const library = LIBRARIES[process.platform]?.(provider);
  if (library === undefined) return true; // not known: trying tells
  const root = join(dirname(createRequire(import.meta.url).resolve('onnxruntime-node')), '..');
  return existsSync(join(root, 'bin', 'napi-v6', process.platform, process.arch, library));
};

const hasRenderNode = (): boolean => {
  try {
    return readdirSync('/dev/dri').some((name) => /^renderD\d+$/.test(name));
  } catch {
    return false; // no such folder: no graphics driver, or a container that was given none
  }
};
