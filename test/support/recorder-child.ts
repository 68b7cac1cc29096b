/** Records a clip as fast as it can until it is killed; prints the media milliseconds that were in files after each part. Arguments: directory, clip. */
import { setImmediate } from 'node:timers/promises';
import { systemClock } from '../../core/clock.ts';
import { silentLogger } from '../../platform/logging.ts';
import { createMetrics } from '../../platform/metrics.ts';
import { KeptRanges } from '../../recorder/kept-ranges.ts';
import { Recorder } from '../../recorder/recorder.ts';
import { readClip } from './mp4-source.ts';
import { PartSource } from './part-source.ts';

const [directory = '', path = ''] = process.argv.slice(2);
const source = new PartSource('cam');
const metrics = createMetrics('child');
await Recorder.start(directory, { segment_seconds: 4, flush_ms: 200, window_minutes: 1e6, min_free_bytes: 0, max_bytes: null }, {
  streams: source, journal: { append: () => undefined }, clock: systemClock, logger: silentLogger(), metrics, policyOf: () => 'always', kept: () => new KeptRanges([]),
});
const media = readClip(path);
const epoch = Date.now();
source.begin('session-1', epoch);
for (const unit of media.units) {
  const before = source.published.length;
  source.push(media, unit, epoch);
  if (source.published.length === before) continue;
  const bytes = source.published.reduce((sum, { byteLength }) => sum + byteLength, 0);
  while (((await metrics.recordedBytes.get()).values[0]?.value ?? 0) < bytes) await setImmediate();
  process.stdout.write(`${String(source.published.reduce((sum, { duration }) => sum + duration, 0))}\n`);
}
