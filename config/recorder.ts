import * as z from 'zod';

export const RecorderConfig = z.strictObject({
  segment_seconds: z.number().positive().prefault(10).describe('A recording segment closes at the first random access picture after this.'),
  flush_ms: z.int().positive().prefault(200).describe('Written to the file system at least so often; what a crash may cost.'),
  fsync: z.enum(['segment', 'interval', 'part']).prefault('segment').describe('When recordings are put on the disk itself, which is what a cut of power may cost: each closed segment, every fsync_interval_ms, or every write.'),
  fsync_interval_ms: z.int().min(100).prefault(1000).describe('With fsync: interval.'),
  window_minutes: z.number().positive().prefault(15).describe('Rolling window: older segments are deleted.'),
  min_free_bytes: z.int().min(0).prefault(2 * 1024 ** 3).describe('Oldest segments are deleted to keep so much of the disk free.'),
  max_bytes: z.int().positive().nullable().prefault(null).describe('Most bytes of recordings in all; none: no limit but the disk.'),
  upload_max_bytes: z.int().positive().prefault(4 * 1024 ** 3).describe('Most bytes of one uploaded file.'),
});

export const HlsConfig = z.strictObject({
  segment_seconds: z.number().positive().prefault(4).describe('A segment of LL-HLS closes at the first random access picture after this.'),
});
