import { expect, test } from 'vitest';
import { int8Overflows } from './int8-overflow.ts';

const cpuinfo = (flags: string): string => `processor\t: 0\nmodel name\t: A CPU of avx_vnni\nflags\t\t: ${flags}\nbugs\t\t: none\n\nprocessor\t: 1\nflags\t\t: ${flags}\n`;

test.each<[string, string, string | null, boolean]>([
  ['with AVX2 alone', 'x64', cpuinfo('fpu sse4_1 avx2 fma'), true],
  ['with AVX-512 and no VNNI', 'x64', cpuinfo('fpu avx2 avx512f avx512bw avx512_bf16'), true],
  ['with VNNI of AVX-512', 'x64', cpuinfo('fpu avx2 avx512f avx512_vnni avx512_bitalg'), false],
  ['with VNNI of AVX', 'x64', cpuinfo('fpu avx2 avx_vnni'), false],
  ['that is not known', 'x64', null, true],
  ['of another kind', 'arm64', 'processor\t: 0\nFeatures\t: fp asimd\n', false],
])('[INF-5] int8 products overflow on CPUs without instructions for them: one %s', (_what, arch, text, overflows) => {
  expect(int8Overflows(arch, text)).toBe(overflows);
});
