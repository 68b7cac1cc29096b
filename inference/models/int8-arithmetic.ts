import { readFileSync } from 'node:fs';

/** Instructions that multiply bytes and add the products up in 32 bits, as Linux names them. */
const EXACT = /^flags\s*:.*\b(?:avx512_vnni|avx_vnni)\b/m;

/** Whether a CPU that Linux describes so adds up int8 products without overflow. Pure. */
export const isExactInt8 = (cpuinfo: string): boolean => EXACT.test(cpuinfo);

let known: boolean | undefined;

/**
 * Whether this machine's CPU is known to add up int8 products without overflow. x86 without VNNI does so in 16 bits, unless ONNX Runtime is told to be exact
 * (`session.x64quantprecision`); with VNNI it is exact by itself, and being told costs almost three times the CPU (bench worker-throughput).
 */
export const hasExactInt8 = (): boolean => known ??= readsExact();

const readsExact = (): boolean => {
  try {
    return isExactInt8(readFileSync('/proc/cpuinfo', 'latin1'));
  } catch {
    return false; // not Linux: nobody says
  }
};
