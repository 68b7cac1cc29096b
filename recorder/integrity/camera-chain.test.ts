import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ChainLink } from '../../core/fmp4/segment-info-box.ts';
import { CameraChain } from './camera-chain.ts';

interface Segment { readonly id: string; readonly sha256: string; readonly chain: ChainLink }

const sha = (text: string): string => createHash('sha256').update(text).digest('hex');
const close = (chain: CameraChain, id: string, link: ChainLink): Segment => {
  const segment = { id, sha256: sha(`${id} ${JSON.stringify(link)}`), chain: link };
  chain.closed(segment);
  return segment;
};
const recordAll = (chain: CameraChain, count: number, from = 1): Segment[] =>
  Array.from({ length: count }, (_, i) => { const id = `cam/${String(from + i)}`; return close(chain, id, chain.begin(id)); });

test('[REC-10] segments that follow each other are one run, pinned by its last', () => {
  const chain = new CameraChain();
  const segments = recordAll(chain, 3);
  expect(segments.map((segment) => segment.chain)).toEqual([
    { position: 1, previousId: null, previousSha256: null }, { position: 2, previousId: 'cam/1', previousSha256: segments[0]?.sha256 }, { position: 3, previousId: 'cam/2', previousSha256: segments[1]?.sha256 },
  ]);
  expect(chain.state).toEqual({ next: 4, head: { id: 'cam/3', sha256: segments[2]?.sha256 }, runs: [{ first: 1, last: 3, lastId: 'cam/3', lastSha256: segments[2]?.sha256 }], open: [], anew: null });
});

test('[REC-10] a segment whose predecessor is not closed yet says so, and each is pinned by itself', () => {
  const chain = new CameraChain();
  recordAll(chain, 1);
  const slow = chain.begin('cam/2');
  const next = chain.begin('cam/3');
  expect(next).toEqual({ position: 3, previousId: 'cam/2', previousSha256: null });
  close(chain, 'cam/3', next);
  expect([chain.isOpen(2), chain.has(3)]).toEqual([true, true]);
  close(chain, 'cam/2', slow);
  expect(chain.state.runs.map(({ first, last }) => [first, last])).toEqual([[1, 2], [3, 3]]);
  expect(chain.begin('cam/4').previousId).toBe('cam/3');
});

test('a segment that came to nothing gives its place back, unless another one was begun behind it', () => {
  const chain = new CameraChain();
  const [first] = recordAll(chain, 1);
  chain.abandon('cam/2', chain.begin('cam/2'));
  expect(chain.begin('cam/2b')).toEqual({ position: 2, previousId: 'cam/1', previousSha256: first?.sha256 });
  const given = chain.begin('cam/3');
  chain.begin('cam/4');
  chain.abandon('cam/3', given);
  expect(chain.begin('cam/5').position).toBe(5);
});

test('[REC-10] what retention takes is a hole: in front, between pins, at the end', () => {
  const chain = new CameraChain();
  const segments = recordAll(chain, 9);
  for (const at of [0, 1, 4, 5, 8]) chain.expired(segments[at] ?? { id: '', sha256: null });
  expect(chain.state.runs).toEqual([
    { first: 3, last: 4, lastId: 'cam/4', lastSha256: segments[3]?.sha256 }, { first: 7, last: 8, lastId: 'cam/8', lastSha256: segments[7]?.sha256 },
  ]);
  expect(chain.begin('cam/10')).toEqual({ position: 10, previousId: 'cam/9', previousSha256: segments[8]?.sha256 });
});

test('[REC-10] what is not there is missed until all before it have gone, too', () => {
  const chain = new CameraChain();
  const segments = recordAll(chain, 6);
  const reopened = new CameraChain(chain.state);
  expect(reopened.reconcile(new Set([1, 2, 5, 6]))).toBe(2);
  expect([3, 4].map((position) => reopened.has(position))).toEqual([true, true]);
  for (const at of [0, 1]) reopened.expired(segments[at] ?? { id: '', sha256: null });
  expect([3, 4].map((position) => reopened.has(position))).toEqual([true, true]);
  reopened.expired(segments[4] ?? { id: '', sha256: null });
  expect(reopened.state.runs).toMatchObject([{ first: 6, last: 6 }]);
});

test('[REC-10] [SD-52] an upload that expires, begun late and of earlier, lets nobody forget what is missing among the others', () => {
  const chain = new CameraChain();
  const segments = recordAll(chain, 6); // the last is an upload of before the first
  const reopened = new CameraChain(chain.state);
  expect(reopened.reconcile(new Set([1, 2, 4, 5, 6]))).toBe(1);
  reopened.expired(segments[5] ?? { id: '', sha256: null });
  expect(reopened.has(3)).toBe(true);
  for (const at of [0, 1, 3]) reopened.expired(segments[at] ?? { id: '', sha256: null });
  expect(reopened.has(3)).toBe(false);
});

test('[REC-10] whatever is begun, closed, abandoned and taken in whatever order: pinned is what is closed and not taken, and the last of each run by its hash', () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.constant('begin' as const) }, { weight: 4, arbitrary: fc.record({ close: fc.nat() }) }, { weight: 1, arbitrary: fc.record({ abandon: fc.nat() }) }, { weight: 2, arbitrary: fc.record({ expire: fc.nat() }) },
    { weight: 1, arbitrary: fc.constant('restart' as const) },
  );
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    let chain = new CameraChain();
    const open: { id: string; link: ChainLink }[] = [];
    let closed: Segment[] = [];
    let n = 0;
    for (const each of steps) {
      if (each === 'begin') {
        const id = `cam/${String(n++)}`;
        open.push({ id, link: chain.begin(id) });
      } else if (each === 'restart') {
        chain = new CameraChain(JSON.parse(JSON.stringify(chain.state)) as typeof chain.state);
        chain.reconcile(new Set([...closed.map((segment) => segment.chain.position), ...open.map(({ link }) => link.position)]));
      } else if ('close' in each) {
        const [taken] = open.splice(each.close % Math.max(1, open.length), 1);
        if (taken) closed.push(close(chain, taken.id, taken.link));
      } else if ('abandon' in each) {
        const [taken] = open.splice(each.abandon % Math.max(1, open.length), 1);
        if (taken) chain.abandon(taken.id, taken.link);
      } else {
        const taken = closed[each.expire % Math.max(1, closed.length)];
        if (!taken) continue;
        closed = closed.filter((segment) => segment !== taken);
        chain.expired(taken);
      }
      const { runs, next } = chain.state;
      const pinned = runs.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, i) => first + i));
      expect(pinned).toEqual(closed.map((segment) => segment.chain.position).sort((a, b) => a - b));
      for (const run of runs) {
        const last = closed.find((segment) => segment.chain.position === run.last);
        expect(run).toMatchObject({ lastId: last?.id, lastSha256: last?.sha256 });
      }
      expect(Math.max(0, ...pinned)).toBeLessThan(next);
    }
  }));
});
