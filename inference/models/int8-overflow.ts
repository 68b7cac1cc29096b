import { readFile } from 'node:fs/promises';

/**
 * Whether the CPU, without instructions for it, adds int8 products in 16 bits and overflows, so that ONNX Runtime must be told to be exact
 * (`session.x64quantprecision`): without that a person of score .62 was lost. Where the CPU has them it is exact anyway, and to be told so
 * costs a lot: 41 instead of 17 ms of an int8 detector on a CPU with AMX, for the very same values. `cpuinfo`: Linux's; null: not known.
 */
export const int8Overflows = (arch: string, cpuinfo: string | null): boolean =>
  arch === 'x64' && !/^flags\s*:.*\s(?:avx512_vnni|avx_vnni)(?:\s|$)/m.test(cpuinfo ?? '');

/** The same of this machine. */
export const int8OverflowsHere = async (): Promise<boolean> => int8Overflows(process.arch, await readFile('/proc/cpuinfo', 'utf8').catch(() => null));
