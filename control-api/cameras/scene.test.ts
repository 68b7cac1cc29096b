import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApi } from '../testing/harness.ts';
import type { Harness } from '../testing/harness.ts';

const SQUARE = [[0, 0], [0.5, 0], [0.5, 0.5], [0, 0.5]];
const ZONE = { id: 'press', polygon: SQUARE };
const LINE = { id: 'gate', from: [0, 0.5], to: [1, 0.5] };

describe('[INF-6] the scene of a detector', () => {
  let h: Harness;
  let token: string;
  beforeAll(async () => {
    h = await startApi();
    token = (await h.login()).access_token;
    await h.call('POST', '/v1/cameras', { token, json: { id: 'line-1' } });
  });
  afterAll(async () => { await h[Symbol.asyncDispose](); });
  const set = (scene: unknown) => h.call<{ pipelines: unknown; code?: string; detail?: string }>('PATCH', '/v1/cameras/line-1', { token, json: { pipelines: [{ id: 'detect', ...(scene as object) }] } });

  test('is kept as it was set, with the defaults of its rules, and told to the edge in its units', async () => {
    const answer = await set({
      classes: ['person'], zones: [ZONE], zones_only: true, lines: [LINE],
      rules: [{ id: 'too many', type: 'count', zone: 'press', at_least: 2, for_seconds: 1.5, clip: {} }, { id: 'stays', type: 'dwell', for_seconds: 60, classes: ['person'], min_confidence: 0.6 }, { id: 'in', type: 'cross', line: 'gate' }],
    });
    expect(answer.status).toBe(200);
    expect(answer.body.pipelines).toMatchObject([{ id: 'detect', classes: ['person'], zones: [ZONE], rules: [
      { id: 'too many', type: 'count', classes: [], min_confidence: 0, zone: 'press', at_least: 2, for_seconds: 1.5, clear_seconds: 2, clip: { pre_seconds: 10, post_seconds: 10 } },
      { type: 'dwell', clear_seconds: 2 }, { type: 'cross', direction: 'both' },
    ] }]);
    expect(h.api.desiredState.current().cameras[0]?.detectors).toMatchObject([{ id: 'detect', scene: {
      classes: ['person'], zonesOnly: true, anchor: 'foot', zones: [ZONE], lines: [LINE],
      rules: [
        { type: 'count', id: 'too many', classes: [], minConfidence: 0, zone: 'press', atLeast: 2, forMs: 1500, clearMs: 2000 },
        { type: 'dwell', id: 'stays', classes: ['person'], minConfidence: 0.6, zone: null, forMs: 60_000, clearMs: 2000 },
        { type: 'cross', id: 'in', classes: [], minConfidence: 0, line: 'gate', direction: 'both' },
      ],
    } }]);
  });

  test('a detector without one has none', async () => {
    expect((await set({ classes: [] })).status).toBe(200);
    expect(h.api.desiredState.current().cameras[0]?.detectors[0]).not.toHaveProperty('scene');
  });

  test('what contradicts itself is 422 and says why', async () => {
    for (const [scene, code] of [
      [{ zones: [ZONE, ZONE] }, 'DUPLICATE_SCENE_ID'], [{ zones_only: true }, 'NO_ZONES'],
      [{ rules: [{ id: 'r', type: 'cross', line: 'none' }] }, 'UNKNOWN_LINE'], [{ zones: [ZONE], rules: [{ id: 'r', type: 'count', zone: 'none' }] }, 'UNKNOWN_ZONE'],
      [{ tracking: false, rules: [{ id: 'r', type: 'dwell', for_seconds: 1 }] }, 'RULE_NEEDS_TRACKING'], [{ tracking: false, lines: [LINE], rules: [{ id: 'r', type: 'cross', line: 'gate' }] }, 'RULE_NEEDS_TRACKING'],
      [{ fps: 0.5, rules: [{ id: 'r', type: 'dwell', for_seconds: 1 }] }, 'RULE_NEEDS_TRACKING'],
      [{ rules: [{ id: 'r', type: 'count' }, { id: 'r', type: 'count' }] }, 'DUPLICATE_SCENE_ID'],
    ] as const) {
      expect(await set(scene), JSON.stringify(scene)).toMatchObject({ status: 422, body: { code } });
    }
    expect((await set({ tracking: false, zones: [ZONE], rules: [{ id: 'r', type: 'count', zone: 'press' }] })).status).toBe(200);
  });

  test('what is no polygon, no line and no rule is 400', async () => {
    for (const scene of [
      { zones: [{ id: 'z', polygon: [[0, 0], [1, 1]] }] }, { zones: [{ id: 'z', polygon: [[0, 0], [0.5, 0.5], [1, 1]] }] }, { zones: [{ id: 'z', polygon: [[0, 0], [1.1, 0], [1, 1]] }] },
      { zones: [{ id: 'a\nb', polygon: SQUARE }] }, { lines: [{ id: 'l', from: [0.5, 0.5], to: [0.5, 0.5] }] }, { rules: [{ id: 'r', type: 'vanish' }] }, { rules: [{ id: 'r', type: 'dwell' }] },
      { rules: [{ id: 'r', type: 'count', at_least: 0 }] }, { zones: Array.from({ length: 17 }, (_, i) => ({ ...ZONE, id: String(i) })) }, { anchor: 'head' },
    ]) {
      expect((await set(scene)).status, JSON.stringify(scene)).toBe(400);
    }
  });

  test('an analysis of a recording has none: zones are 400 there', async () => {
    const json = { from: '2026-11-30T10:00:00Z', to: '2026-11-30T10:01:00Z', detectors: [{ id: 'detect', zones: [ZONE] }] };
    expect((await h.call('POST', '/v1/recordings/line-1/analyses', { token, json })).status).toBe(400);
    const { detectors: _, ...plain } = json;
    expect((await h.call('POST', '/v1/recordings/line-1/analyses', { token, json: plain })).status).not.toBe(400);
  });
});
