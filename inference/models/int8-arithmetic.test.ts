import { expect, test } from 'vitest';
import { hasExactInt8, isExactInt8 } from './int8-arithmetic.ts';

const cpu = (flags: string): string => `processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: fpu sse2 ${flags} xsaves\nbugs\t\t: avx_vnni_of_another_line\n\nprocessor\t: 1\n`;

test('[INF-2] a CPU with VNNI is exact by itself, one without has to be told', () => {
  expect(isExactInt8(cpu('avx2 avx512_vnni'))).toBe(true);
  expect(isExactInt8(cpu('avx2 avx_vnni amx_int8'))).toBe(true);
  for (const without of [cpu('avx2 avx512f'), cpu('avx_vnni_int8'), '', 'Features\t: fp asimd asimddp']) expect(isExactInt8(without), without).toBe(false);
  expect(hasExactInt8()).toBe(hasExactInt8());
});
