import { expect, test } from 'vitest';
import { MediaError } from '../../core/errors.ts';
import { FakeClock } from '../../core/testing-clock.ts';
import { toProblem } from './problem.ts';

const context = { clock: new FakeClock(), instance: '/whip/line-1', traceId: 't-1', credentialShown: false };

test('[2.5] a MediaError becomes problem+json with its context as extension members and the compatible error member', () => {
  const problem = toProblem(new MediaError('FAILED_PRECONDITION', 'No publisher.', { reason: 'NO_PUBLISHER', context: { camera: 'line-1', status: 'odd' }, retryAfterSeconds: 1.2 }), context);
  expect(problem.status).toBe(409);
  expect(problem.headers).toEqual({ 'content-type': 'application/problem+json', 'cache-control': 'no-store', 'retry-after': '2' });
  expect(JSON.parse(problem.body)).toEqual({
    type: 'urn:imageflow:problem:no-publisher', title: 'Conflict', status: 409, detail: 'No publisher.', instance: '/whip/line-1',
    code: 'NO_PUBLISHER', trace_id: 't-1', retry_after: 1.2, camera: 'line-1',
    error: { code: 'NO_PUBLISHER', message: 'No publisher.', details: { camera: 'line-1', status: 'odd' }, timestamp: '2025-06-15T15:06:40.000Z' },
  });
});

test('[0.4] a 401 asks for a bearer token, and says when the one shown is wrong', () => {
  const error = new MediaError('UNAUTHENTICATED', 'Who are you?');
  expect(toProblem(error, context).headers['www-authenticate']).toBe('Bearer realm="imageflow"');
  expect(toProblem(error, { ...context, credentialShown: true }).headers['www-authenticate']).toBe('Bearer realm="imageflow", error="invalid_token"');
});

test('anything else is a 500 that tells nothing of our insides', () => {
  for (const bug of [new Error('secret path'), 'secret', new MediaError('INTERNAL', 'secret', { context: { secret: 1 } })]) {
    const problem = toProblem(bug, context);
    expect(problem.status).toBe(500);
    expect(problem.body).not.toContain('secret');
  }
});

test('[W9] the reasons of conditional requests have their own statuses', () => {
  expect(toProblem(new MediaError('INVALID_ARGUMENT', '', { reason: 'PRECONDITION_REQUIRED' }), context).status).toBe(428);
  expect(toProblem(new MediaError('FAILED_PRECONDITION', '', { reason: 'PRECONDITION_FAILED' }), context).status).toBe(412);
});
