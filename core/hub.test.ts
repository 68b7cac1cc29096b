import { describe, expect, test } from 'vitest';
import { Hub } from './hub.ts';
import type { BranchOptions, DropPolicy } from './hub.ts';

interface Unit {
  readonly name: string;
  readonly kind: 'video' | 'audio';
  readonly randomAccess: boolean;
  readonly byteLength: number;
}
const key = (name: string, byteLength = 10): Unit => ({ name, kind: 'video', randomAccess: true, byteLength });
const delta = (name: string, byteLength = 10): Unit => ({ name, kind: 'video', randomAccess: false, byteLength });
const audio = (name: string, byteLength = 1): Unit => ({ name, kind: 'audio', randomAccess: true, byteLength });

const options = (dropPolicy: DropPolicy, more: Partial<BranchOptions> = {}): BranchOptions => ({ name: 'b', dropPolicy, maxUnits: 3, maxBytes: 100, ...more });
const setup = (gopCache?: { maxUnits: number; maxBytes: number }) => {
  const drops: string[] = [];
  const hub = new Hub<Unit>({ ...(gopCache ? { gopCache } : {}), onDrop: (branch, reason, units) => drops.push(`${branch} ${reason} ${units}`) });
  return { hub, drops };
};
const drain = (branch: { poll(): Unit | undefined }): string[] => {
  const names: string[] = [];
  for (let unit = branch.poll(); unit; unit = branch.poll()) names.push(unit.name);
  return names;
};

describe('fan-out', () => {
  test('every branch and sink gets the very same unit', async () => {
    const { hub } = setup();
    const seen: Unit[] = [];
    hub.attach((unit) => { seen.push(unit); });
    const [a, b] = [hub.subscribe(options('fail')), hub.subscribe(options('keep-latest'))];
    const unit = key('k');
    hub.publish(unit);
    expect(seen[0]).toBe(unit);
    expect((await a.next()).value).toBe(unit);
    expect((await b.next()).value).toBe(unit);
    expect(hub.branchCount).toBe(3);
  });

  test('a consumer that waits gets the next unit; leaving the loop unsubscribes', async () => {
    const { hub } = setup();
    const branch = hub.subscribe(options('fail'));
    const got: string[] = [];
    const consumer = (async () => { for await (const unit of branch) { got.push(unit.name); if (got.length === 2) break; } })();
    hub.publish(key('k'));
    hub.publish(delta('d'));
    await consumer;
    expect(got).toEqual(['k', 'd']);
    expect(hub.branchCount).toBe(0);
  });

  test('a sink that detaches in the middle of a publication does not disturb the others', () => {
    const { hub } = setup();
    const seen: string[] = [];
    const first = hub.attach(() => { seen.push('first'); first[Symbol.dispose](); });
    hub.attach(() => { seen.push('second'); });
    hub.publish(key('a'));
    hub.publish(key('b'));
    expect(seen).toEqual(['first', 'second', 'second']);
  });

  test('a second waiting consumer is a bug and throws', async () => {
    const { hub } = setup();
    const branch = hub.subscribe(options('fail'));
    const first = branch.next();
    await expect(branch.next()).rejects.toThrow('two consumers');
    branch[Symbol.dispose]();
    expect((await first).done).toBe(true);
  });

  test('a long queue keeps its order through its compaction', () => {
    const { hub } = setup();
    const branch = hub.subscribe(options('fail', { maxUnits: 1_000, maxBytes: 1e6 }));
    const names = Array.from({ length: 500 }, (_, i) => String(i));
    const got: string[] = [];
    names.forEach((name, i) => { hub.publish(key(name)); if (i % 3 > 0) got.push(branch.poll()?.name ?? ''); });
    expect([...got, ...drain(branch)]).toEqual(names);
    expect(branch.queuedBytes).toBe(0);
  });
});

describe('drop policies', () => {
  test('skip-to-random-access begins with a picture, and drops to the next one when it is full', () => {
    const { hub, drops } = setup();
    const branch = hub.subscribe(options('skip-to-random-access'));
    for (const unit of [delta('0'), audio('a0'), key('k1'), delta('1'), delta('2'), delta('3'), audio('a1'), delta('4'), key('k2'), delta('5')]) hub.publish(unit);
    expect(drain(branch)).toEqual(['k2', '5']);
    expect(drops).toEqual(['b awaiting_random_access 1', 'b awaiting_random_access 1', 'b queue_full 4', 'b awaiting_random_access 1', 'b awaiting_random_access 1']);
  });

  test('skip-to-random-access goes on at once when the unit that did not fit is a random access picture', () => {
    const { hub, drops } = setup();
    const branch = hub.subscribe(options('skip-to-random-access'));
    for (const unit of [key('k1'), delta('1'), delta('2'), key('k2')]) hub.publish(unit);
    expect(drain(branch)).toEqual(['k2']);
    expect(drops).toEqual(['b queue_full 3']);
  });

  test('keep-latest keeps the newest', () => {
    const { hub, drops } = setup();
    const branch = hub.subscribe(options('keep-latest', { maxUnits: 1 }));
    for (const name of ['1', '2', '3']) hub.publish(key(name));
    expect(drain(branch)).toEqual(['3']);
    expect(drops).toEqual(['b queue_full 1', 'b queue_full 1']);
  });

  test('a unit larger than the whole branch is dropped and counted, whatever the policy', () => {
    for (const policy of ['keep-latest', 'skip-to-random-access'] as const) {
      const { hub, drops } = setup();
      const branch = hub.subscribe(options(policy));
      hub.publish(key('big', 101));
      expect(drain(branch)).toEqual([]);
      expect(drops).toEqual(['b queue_full 1']);
    }
  });

  test('fail ends the branch with an error that its consumer sees', async () => {
    const { hub, drops } = setup();
    const branch = hub.subscribe(options('fail'));
    for (const name of ['1', '2', '3', '4']) hub.publish(key(name));
    await expect(branch.next()).rejects.toThrow('branch b is full: 3 units waiting');
    expect(drops).toEqual(['b queue_full 4']);
    expect(hub.branchCount).toBe(0);
  });
});

describe('GOP cache', () => {
  test('[ING-10] a new branch that asks for it starts with everything since the last random access picture', () => {
    const { hub } = setup({ maxUnits: 10, maxBytes: 1_000 });
    for (const unit of [delta('lost'), audio('a'), key('k1'), delta('1'), key('k2'), audio('a2'), delta('2')]) hub.publish(unit);
    expect(hub.gop().map((u) => u.name)).toEqual(['k2', 'a2', '2']);
    expect(drain(hub.subscribe(options('skip-to-random-access', { replay: true })))).toEqual(['k2', 'a2', '2']);
    expect(drain(hub.subscribe(options('fail')))).toEqual([]);
  });

  test('a GOP over the bounds is forgotten whole, until the next random access picture', () => {
    const { hub } = setup({ maxUnits: 3, maxBytes: 1_000 });
    for (const unit of [key('k'), delta('1'), delta('2'), delta('3'), delta('4')]) hub.publish(unit);
    expect(hub.gop()).toEqual([]);
    hub.publish(key('k2'));
    expect(hub.gop().map((u) => u.name)).toEqual(['k2']);
    hub.clearGop();
    hub.publish(delta('5'));
    expect(hub.gop()).toEqual([]);
  });
});

describe('closing', () => {
  test('the end of the source: what is queued is delivered, then the loop finishes', async () => {
    const { hub } = setup();
    const branch = hub.subscribe(options('fail'));
    hub.publish(key('1'));
    hub.end();
    hub.publish(key('2'));
    const names: string[] = [];
    for await (const unit of branch) names.push(unit.name);
    expect(names).toEqual(['1']);
  });

  test('the failure of the source is thrown after what is queued', async () => {
    const { hub } = setup();
    const branch = hub.subscribe(options('fail'));
    const waiting = hub.subscribe(options('fail', { name: 'w' })).next();
    hub.end(new Error('camera on fire'));
    await expect(waiting).rejects.toThrow('camera on fire');
    await expect(branch.next()).rejects.toThrow('camera on fire');
  });

  test('disposing drops what is queued in silence, twice without harm', async () => {
    const { hub, drops } = setup();
    const branch = hub.subscribe(options('fail'));
    hub.publish(key('1'));
    branch[Symbol.dispose]();
    branch[Symbol.dispose]();
    expect((await branch.next()).done).toBe(true);
    expect(branch.queuedBytes).toBe(0);
    expect(drops).toEqual([]);
    hub[Symbol.dispose]();
    expect(hub.branchCount).toBe(0);
  });
});
