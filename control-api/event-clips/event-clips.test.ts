import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MarkService } from '../marks/service.ts';
import { startApi } from '../testing/harness.ts';
import { LONGEST_CLIP, grownBy } from './clip-growth.ts';

const SECOND = 1000;
const ROLL = { pre_seconds: 10, post_seconds: 5 };

test('[REC-9] an event is a clip with what came before and after; one soon after it makes it longer, one within changes nothing', () => {
  const first = grownBy(undefined, { first: 100 * SECOND, last: 100 * SECOND }, ROLL);
  expect(first).toEqual({ range: { from: 90 * SECOND, to: 105 * SECOND }, isNew: true });
  expect(grownBy(first?.range, { first: 110 * SECOND, last: 112 * SECOND }, ROLL)).toEqual({ range: { from: 90 * SECOND, to: 117 * SECOND }, isNew: false });
  expect(grownBy(first?.range, { first: 98 * SECOND, last: 99 * SECOND }, ROLL)).toBeUndefined();
  expect(grownBy(first?.range, { first: 116 * SECOND, last: 116 * SECOND }, ROLL)).toMatchObject({ isNew: true, range: { from: 106 * SECOND } });
});

test('[REC-9] whatever is seen when: each sighting and its rolls are in clips, none longer than the longest', () => {
  const sightings = fc.array(fc.record({ after: fc.integer({ min: 0, max: 40 * SECOND }), length: fc.integer({ min: 0, max: 20 * SECOND }) }), { minLength: 1, maxLength: 150 });
  fc.assert(fc.property(sightings, (steps) => {
    const clips: { from: number; to: number }[] = [];
    let now = 1_000_000;
    for (const { after, length } of steps) {
      const sighting = { first: now + after, last: now + after + length };
      now = sighting.last;
      const grown = grownBy(clips.at(-1), sighting, ROLL);
      if (grown?.isNew) clips.push(grown.range);
      else if (grown) clips[clips.length - 1] = grown.range;
      // Covered, in one clip or across two.
      for (const at of [sighting.first - 10 * SECOND, sighting.first, sighting.last, sighting.last + 5 * SECOND - 1]) expect(clips.some(({ from, to }) => from <= at && at < to)).toBe(true);
      expect(clips.every(({ from, to }) => to > from && to - from <= LONGEST_CLIP)).toBe(true);
    }
  }), { numRuns: 300 });
});

interface MarkBody { id: string; kind: string; from: string; to: string; tags: string[]; title: string; created_by: string; archive: boolean }

test('[REC-9] what a camera calls an event becomes a clip that grows while it is seen, and goes to the archive', async () => {
  await using h = await startApi();
  const { access_token: token } = await h.login();
  const on_event = { pre_seconds: 4, post_seconds: 6, detected: [{ class_name: 'scratch', min_confidence: 0.6 }, { class_name: 'dent' }] };
  await h.call('POST', '/v1/cameras', { token, json: { id: 'line-1', recording: { policy: 'on-event', on_event } } });
  await h.call('POST', '/v1/cameras', { token, json: { id: 'line-2' } });
  const marks = async (): Promise<MarkBody[]> => (await h.call<{ items: MarkBody[] }>('GET', '/v1/marks', { token })).body.items;
  const now = h.clock.now();
  const see = (camera: string, at: number, className: string, confidence: number): void => {
    h.api.observe([{ camera, capturedAt: at, detections: [{ className, confidence }, { className: 'person', confidence: 0.99 }] }]);
  };
  const clips = async (): Promise<MarkBody[]> => {
    h.clock.advance(1_000);
    return await marks();
  };
  const iso = (at: number): string => new Date(at).toISOString();

  const at = now - 60 * SECOND;
  see('line-1', at - 40 * SECOND, 'scratch', 0.5);
  see('line-2', at, 'scratch', 0.9);
  see('line-1', at, 'scratch', 0.61);
  await expect.poll(clips).toMatchObject([{ kind: 'clip', archive: true, tags: ['scratch'], title: 'Seen: scratch', created_by: 'policy: detected', from: iso(at - 4 * SECOND), to: iso(at + 6 * SECOND) }]);
  see('line-1', at + 8 * SECOND, 'dent', 0.5);
  await expect.poll(clips).toMatchObject([{ tags: ['dent', 'scratch'], from: iso(at - 4 * SECOND), to: iso(at + 14 * SECOND) }]);

  // Somebody takes it away: what is seen next makes another.
  const [{ id } = { id: '' }] = await marks();
  await h.call('DELETE', `/v1/marks/${id}`, { token });
  see('line-1', at + 10 * SECOND, 'scratch', 0.9);
  await expect.poll(clips).toMatchObject([{ tags: ['scratch'], from: iso(at + 6 * SECOND) }]);
});

test('[INF-6] what a rule with a clip says becomes one, from its begin to its end; of what goes on for long, the begin and the end', async () => {
  await using h = await startApi();
  const { access_token: token } = await h.login();
  const clip = { pre_seconds: 5, post_seconds: 5 };
  await h.call('POST', '/v1/cameras', { token, json: { id: 'line-1', pipelines: [{ id: 'detect', rules: [{ id: 'press busy', type: 'count', clip }, { id: 'quiet', type: 'count' }] }] } });
  const now = h.clock.now();
  const clips = async (): Promise<MarkBody[]> => {
    h.clock.advance(1_000);
    return (await h.call<{ items: MarkBody[] }>('GET', '/v1/marks', { token })).body.items;
  };
  const iso = (at: number): string => new Date(at).toISOString();
  const say = (rule: string, from: number, to: number): void => { h.api.observeRules([{ camera: 'line-1', detector: 'detect', rule, from, to, classes: ['person'] }]); };

  const at = now - 3_600_000;
  say('quiet', at - 60 * SECOND, at - 50 * SECOND);
  say('press busy', at, at + 2 * SECOND);
  await expect.poll(clips).toMatchObject([{ kind: 'clip', archive: true, title: 'Rule: press busy, person', tags: ['person', 'press busy'], created_by: 'rule: detect/press busy', from: iso(at - 5 * SECOND), to: iso(at + 7 * SECOND) }]);
  say('press busy', at, at + 30 * SECOND);
  await expect.poll(clips).toMatchObject([{ from: iso(at - 5 * SECOND), to: iso(at + 35 * SECOND) }]);

  const later = at + 600 * SECOND;
  say('press busy', later, later);
  await expect.poll(async () => (await clips()).map(({ from, to }) => [from, to])).toContainEqual([iso(later - 5 * SECOND), iso(later + 5 * SECOND)]);
  say('press busy', later, later + 1800 * SECOND);
  await expect.poll(async () => (await clips()).map(({ from, to }) => [from, to])).toContainEqual([iso(later + 1795 * SECOND), iso(later + 1805 * SECOND)]);
});

test('[INF-6] what rules said while control was away comes at once: each has its clip, however far apart they are, and a camera that is gone holds nobody up', async () => {
  await using h = await startApi();
  const { access_token: token } = await h.login();
  const clip = { pre_seconds: 5, post_seconds: 5 };
  for (const id of ['gone', 'line-1']) await h.call('POST', '/v1/cameras', { token, json: { id, pipelines: [{ id: 'detect', rules: [{ id: 'r', type: 'count', clip }] }] } });
  const at = h.clock.now() - 10 * 3_600_000;
  const say = (camera: string, from: number, to = from): void => { h.api.observeRules([{ camera, detector: 'detect', rule: 'r', from, to, classes: [] }]); };
  const starts = [0, 3 * SECOND, 3_600 * SECOND, 4 * 3_600 * SECOND];
  say('gone', at);
  for (const start of starts) say('line-1', at + start);
  say('line-1', at + 5 * 3_600 * SECOND);
  say('line-1', at + 5 * 3_600 * SECOND, at + 6 * 3_600 * SECOND); // an hour long
  await h.call('DELETE', '/v1/cameras/gone', { token });
  const iso = (after: number): string => new Date(at + after).toISOString();
  const clips = async (): Promise<string[][]> => {
    h.clock.advance(1_000);
    return (await h.call<{ items: MarkBody[] }>('GET', '/v1/marks?camera=line-1', { token })).body.items.map(({ from, to }) => [from, to]).toSorted();
  };
  const around = (from: number, to = from): string[] => [iso(from - 5 * SECOND), iso(to + 5 * SECOND)];
  await expect.poll(clips).toEqual([around(0, 3 * SECOND), around(3_600 * SECOND), around(4 * 3_600 * SECOND), around(5 * 3_600 * SECOND), around(6 * 3_600 * SECOND)]);
});

test('[REC-9] [INF-6] what was seen just before a process was killed has its clip soon after the next one has started, and nothing has two', async () => {
  await using h = await startApi();
  const { access_token: token } = await h.login();
  const recording = { policy: 'on-event', on_event: { pre_seconds: 4, post_seconds: 6, detected: [{ class_name: 'scratch', min_confidence: 0.6 }] } };
  await h.call('POST', '/v1/cameras', { token, json: { id: 'line-1', recording, pipelines: [{ id: 'detect', rules: [{ id: 'press busy', type: 'count', clip: { pre_seconds: 5, post_seconds: 5 } }] }] } });
  const start = h.clock.now();
  const iso = (at: number): string => new Date(at).toISOString();
  const stored = async (at: number, confidence: number, analysis_id: string | null = null): Promise<void> => {
    await h.db.insertInto('detections').values({
      camera_id: 'line-1', stream_epoch: 1, rtp_timestamp: at, captured_at_ms: at, sequence: at, class_name: 'scratch', class_id: 0, confidence, x: 0, y: 0, width: 1, height: 1, track_id: null, model: 'm', model_digest: 'd', analysis_id,
    }).execute();
  };
  const marks = async (): Promise<string[][]> => {
    h.clock.advance(1_000);
    return (await h.call<{ items: MarkBody[] }>('GET', '/v1/marks', { token })).body.items.map(({ from, to, created_by }) => [created_by, from, to]).toSorted();
  };

  await stored(start - 10 * SECOND, 0.9);
  await stored(start - 60 * SECOND, 0.5); // too uncertain
  await stored(start - 80 * SECOND, 0.9, 'an analysis');
  await stored(start - 300 * SECOND, 0.9); // long ago: whoever did not want its clip has taken it away
  const finding = { from: iso(start - 40 * SECOND), to: iso(start - 30 * SECOND), rule: { id: 'press busy', detector: 'detect', class_names: ['person'] } };
  await h.db.insertInto('events').values({ topic: 'video-analysis-events', camera_id: 'line-1', at_ms: start - 30 * SECOND, body: JSON.stringify(finding) }).execute();
  const seen = ['policy: detected', iso(start - 14 * SECOND), iso(start - 4 * SECOND)];
  const said = ['rule: detect/press busy', iso(start - 45 * SECOND), iso(start - 25 * SECOND)];
  h.clock.advance(5_000);
  await expect.poll(marks).toEqual([seen, said]);

  // The next process finds one more, and those that have theirs.
  await stored(start - 50 * SECOND, 0.7);
  await using _next = await startApi({ db: h.db, clock: h.clock });
  h.clock.advance(5_000);
  const all = [['policy: detected', iso(start - 54 * SECOND), iso(start - 44 * SECOND)], seen, said];
  await expect.poll(marks).toEqual(all);
  for (let again = 0; again < 3; again++) expect(await marks()).toEqual(all);
});

test('[REC-9] what is seen all the time has clips one behind the other: after a restart they are as they were, and go on where the last one ends', async () => {
  await using h = await startApi();
  const { access_token: token } = await h.login();
  const recording = { policy: 'on-event', on_event: { pre_seconds: 4, post_seconds: 6, detected: [{ class_name: 'scratch', min_confidence: 0.6 }] } };
  await h.call('POST', '/v1/cameras', { token, json: { id: 'line-1', recording } });
  const start = h.clock.now();
  const marks = new MarkService(h.db, h.clock);
  const clip = (from: number, to: number) => marks.create('line-1', { kind: 'clip', from: start + from * SECOND, to: start + to * SECOND, title: 'Seen: scratch', tags: ['scratch'] }, 'policy: detected');
  await clip(-660, -60);
  await clip(-60, -5);
  for (let at = start - 100 * SECOND; at < start; at += 2 * SECOND) {
    await h.db.insertInto('detections').values({
      camera_id: 'line-1', stream_epoch: 1, rtp_timestamp: at - start + 200 * SECOND, captured_at_ms: at, sequence: at - start + 200 * SECOND, class_name: 'scratch', class_id: 0, confidence: 0.9, x: 0, y: 0, width: 1, height: 1, track_id: null, model: 'm', model_digest: 'd', analysis_id: null,
    }).execute();
  }
  await using _next = await startApi({ db: h.db, clock: h.clock });
  h.clock.advance(5_000);
  const ranges = async (): Promise<(readonly [number, number])[]> => {
    h.clock.advance(1_000);
    return (await marks.list({ cameras: ['line-1'] }, undefined, 10)).map(({ from_ms, to_ms }) => [(from_ms - start) / SECOND, (to_ms - start) / SECOND] as const).toSorted(([a], [b]) => a - b);
  };
  const wanted = [[-660, -60], [-60, 4]]; // the last was seen two seconds before the start
  await expect.poll(ranges).toEqual(wanted);
  for (let again = 0; again < 3; again++) expect(await ranges()).toEqual(wanted);
});
