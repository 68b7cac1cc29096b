import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { PictureMemory } from '../../inference/picture-memory.ts';
import { smallDisk } from '../support/test-disks.ts';

test('[INF-1] shared memory that runs full takes no more pictures, and says so', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'if-memory-'));
  try {
    await using _disk = await smallDisk(folder, 1);
    using memory = PictureMemory.create(folder);
    const picture = new Uint8Array(400 << 10).fill(7);
    expect([1, 2, 3].map(() => memory?.put(picture))).toEqual([0, 32 << 20, null]);
    memory?.free(0);
    expect(memory?.put(picture)).toBeNull();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
