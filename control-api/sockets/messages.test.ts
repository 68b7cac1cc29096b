import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MediaError } from '../../core/errors.ts';
import { parseClientMessage } from './messages.ts';

test('[SD-56] messages a client may send', () => {
  const parse = (message: unknown): unknown => parseClientMessage(JSON.stringify(message));
  for (const message of [
    { type: 'auth', token: 't' }, { type: 'watch', topic: 'video-analysis-events' }, { type: 'watch', topic: 'video-stream-archive', camera: 'line-1', after: '12' },
    { type: 'unwatch', topic: 'video-analysis-events', camera: 'line-1' },
  ]) expect(parse(message)).toEqual(message);
  for (const message of [
    {}, [], null, 1, { type: 'auth' }, { type: 'auth', token: '' }, { type: 'auth', token: 't', more: 1 }, { type: 'watch' }, { type: 'watch', execution_id: 'e' }, { type: 'watch', topic: 'none' },
    { type: 'watch', topic: 'video-analysis-events', camera: '../x' }, { type: 'watch', topic: 'video-analysis-events', after: '-1' }, { type: 'watch', topic: 'video-analysis-events', after: 1 },
    { type: 'watch', topic: 'video-analysis-events', after: '9'.repeat(16) }, { type: 'toString' }, { type: 'unwatch', topic: ['video-analysis-events'] },
  ]) expect(() => parse(message), JSON.stringify(message)).toThrow(MediaError);
});

test('whatever a client sends is a message or refused', () => {
  const json = fc.oneof(fc.json(), fc.string(), fc.record({ type: fc.constantFrom('auth', 'watch', 'unwatch', '__proto__'), topic: fc.anything(), token: fc.anything(), after: fc.anything() }).map((value) => JSON.stringify(value)));
  fc.assert(fc.property(json, (text) => {
    try {
      expect(['auth', 'watch', 'unwatch']).toContain(parseClientMessage(text).type);
    } catch (error) {
      expect(error).toBeInstanceOf(MediaError);
      expect((error as MediaError).message.length).toBeLessThanOrEqual(300);
    }
  }));
});
