import { availableParallelism } from 'node:os';
import { TestInstallation } from '../recorder/integrity/testing-recordings.ts';
import { verifyRecordings } from '../recorder/verify.ts';
import type { Bench } from './support/bench.ts';
import { quantile, round } from './support/bench.ts';

const SEGMENTS = 160;
/** Of a sample; 500 of them in ten seconds: 4 Mbit/s. */
const SAMPLE_BYTES = 10_000;
const RUNS = 5;

export const bench: Bench = {
  what: `record verify of ${SEGMENTS} signed recordings of 5 MB each, in the page cache: SHA-256, signature, boxes and chain of each (${RUNS} runs)`,
  async run() {
    await using installation = await TestInstallation.create();
    {
      await using recorder = await installation.start({ segment_seconds: 10 });
      for (let i = 0; i < SEGMENTS * 50; i++) await recorder.part(i % 50 === 0, SAMPLE_BYTES);
    }
    const speeds = { one: [] as number[], all: [] as number[] };
    const perCpuSecond: number[] = [];
    for (let i = 0; i < RUNS; i++) {
      for (const [kind, threads] of [['one', 1], ['all', undefined]] as const) {
        const began = performance.now();
        const cpu = process.cpuUsage();
        const { bytes, problems } = await verifyRecordings(installation.recordings, null, { key: installation.key.public, threads });
        if (problems.length > 0) throw new Error(`${problems[0]?.id ?? ''}: ${problems[0]?.problem ?? ''}`);
        speeds[kind].push(bytes / 1e3 / (performance.now() - began));
        const { user, system } = process.cpuUsage(cpu);
        if (kind === 'one') perCpuSecond.push(bytes / (user + system));
      }
    }
    const all = quantile(speeds.all, 0.5);
    return [
      { figure: `verify, ${availableParallelism()} threads, median`, value: round(all, 0), unit: 'MB/s', target: '400 MB/s at least', met: all >= 400 },
      { figure: 'verify, one thread, median', value: round(quantile(speeds.one, 0.5), 0), unit: 'MB/s' },
      { figure: 'verified per second of CPU, whatever else the machine did', value: round(quantile(perCpuSecond, 0.5), 0), unit: 'MB' },
    ];
  },
};
