import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { Metadata } from '@grpc/grpc-js';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ClientMemory, PictureMemory } from './picture-memory.ts';

const opened = (path: string): ClientMemory | null => {
  const metadata = new Metadata();
  metadata.set('imageflow-shared-memory', path);
  return ClientMemory.open(metadata);
};
const pathOf = ({ metadata }: PictureMemory): string => String(metadata.get('imageflow-shared-memory')[0]);
const create = (): PictureMemory => {
  const memory = PictureMemory.create();
  if (!memory) throw new Error('this machine has no /dev/shm');
  return memory;
};

test('[INF-1] whatever is put into it and freed, a picture lies there unchanged until it is freed, and as few lie in a row as were there at a time', () => {
  const step = fc.oneof(fc.record({ put: fc.uint8Array({ minLength: 1, maxLength: 40 }) }), fc.record({ free: fc.nat() }));
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    using memory = create();
    using reader = ClientMemory.open(memory.metadata);
    memory.unlink();
    const there = new Map<number, Uint8Array>();
    let most = 0;
    for (const each of steps) {
      if ('put' in each) {
        const offset = memory.put(each.put) ?? -1;
        expect(there.has(offset)).toBe(false);
        there.set(offset, each.put);
        most = Math.max(most, there.size);
        expect(offset / (32 << 20)).toBeLessThan(most);
      } else {
        const offset = [...there.keys()][each.free % there.size];
        if (offset === undefined) continue;
        memory.free(offset);
        there.delete(offset);
      }
      for (const [offset, picture] of there) {
        const into = new Uint8Array(picture.length);
        expect(reader?.read(offset, into)).toBe(true);
        expect(into).toEqual(picture);
      }
    }
  }), { numRuns: 100 });
});

test('[INF-1] nothing is left of it, under any name', () => {
  const memory = create();
  const path = pathOf(memory);
  expect(existsSync(path)).toBe(true);
  memory[Symbol.dispose]();
  expect(existsSync(path)).toBe(false);
  expect(opened(path)).toBeNull();
});

test('[INF-1] a picture larger than any finds no room, and takes none from others', () => {
  using memory = create();
  expect(memory.put(new Uint8Array((32 << 20) + 1))).toBeNull();
  expect(memory.put(Uint8Array.of(1))).toBe(0);
});

test('[INF-1] without such memory there is none', () => {
  expect(PictureMemory.create('/proc')).toBeNull();
  expect(PictureMemory.create('/nowhere')).toBeNull();
});

test('[INF-1] what a client names is opened only if it is such a file', () => {
  const path = (): string => `/dev/shm/imageflow-${randomUUID()}`;
  const [link, pipe, folder, file] = [path(), path(), path(), path()];
  try {
    symlinkSync('/etc/hostname', link);
    execFileSync('mkfifo', [pipe]);
    execFileSync('mkdir', [folder]);
    for (const name of [link, pipe, folder, '/etc/hostname', '/dev/shm/../../etc/hostname', '/dev/zero', `${file}\0`, '', path()]) {
      if (name.includes('\0')) expect(() => opened(name)).toThrow(); // gRPC's metadata has no such values
      else expect(opened(name)).toBeNull();
    }
    expect(ClientMemory.open(new Metadata())).toBeNull();
    writeFileSync(file, 'abc');
    using memory = opened(file);
    const into = new Uint8Array(3);
    expect([memory?.read(0, into), memory?.read(1, into), memory?.read(-1, into), memory?.read(2 ** 60, into), memory?.read(Number.NaN, into)]).toEqual([true, false, false, false, false]);
  } finally {
    for (const name of [link, pipe, folder, file]) rmSync(name, { recursive: true, force: true });
  }
});

test('[INF-1] its files are closed with it', () => {
  const paths = Array.from({ length: 20 }, () => {
    using memory = create();
    using _reader = ClientMemory.open(memory.metadata);
    return pathOf(memory);
  });
  const open = readdirSync('/proc/self/fd').map((fd) => { try { return readlinkSync(`/proc/self/fd/${fd}`); } catch { return ''; } });
  expect(open.filter((file) => paths.some((path) => file.startsWith(path)))).toEqual([]);
});
