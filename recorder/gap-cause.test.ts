import { expect, test } from 'vitest';
import { PublicationEnds, beforeRun } from './gap-cause.ts';
import { GAP_CAUSES, toGapCause } from './port.ts';

test('[REC-4] a gap in one publication is the network, between two it is how the first one ended', () => {
  const ends = new PublicationEnds();
  expect(ends.between(1, 1)).toBe('network_loss');
  expect(ends.between(1, 2)).toBe('publisher_lost'); // another took over, nobody was lost
  ends.session({ phase: 'live', epoch: 2 });
  ends.session({ phase: 'interrupted', epoch: 2 });
  ends.session({ phase: 'ended', epoch: 2 }); // the grace time is over
  ends.session({ phase: 'connecting', epoch: 3 });
  ends.session({ phase: 'ended', epoch: 3, left: true });
  ends.session({ phase: 'connecting', epoch: 4 }); // came back, and was lost before its first picture
  ends.session({ phase: 'interrupted', epoch: 4 });
  ends.session({ phase: 'ended', epoch: 5 }); // lost, without a grace time
  expect([ends.between(2, 3), ends.between(3, 6), ends.between(5, 6)]).toEqual(['publisher_lost', 'publisher_left', 'publisher_lost']);
});

test('[REC-4] where a publication between them could not be recorded, that is the cause, however the first one ended', () => {
  const ends = new PublicationEnds();
  ends.session({ phase: 'ended', epoch: 1, left: true });
  ends.notRecorded(2);
  ends.session({ phase: 'ended', epoch: 2, left: true });
  expect([ends.between(1, 3), ends.between(2, 3), ends.between(3, 4), ends.between(3, 3)]).toEqual(['codec_not_recorded', 'publisher_left', 'publisher_lost', 'network_loss']);
  for (let epoch = 10; epoch < 100; epoch++) ends.notRecorded(epoch);
  expect([ends.between(1, 3), ends.between(98, 100)]).toEqual(['publisher_left', 'codec_not_recorded']);
});

test('only so many ends are remembered', () => {
  const ends = new PublicationEnds();
  for (let epoch = 1; epoch <= 100; epoch++) ends.session({ phase: 'ended', epoch, left: true });
  expect([ends.between(1, 101), ends.between(100, 101)]).toEqual(['publisher_lost', 'publisher_left']);
});

test('[REC-4] before the first segment of a run it is what kept the recorder, unless the camera came much later', () => {
  expect(beforeRun('restart', 1_000_000, 999_000)).toBe('restart');
  expect(beforeRun('disk', 900_000, 999_000)).toBe('disk');
  expect(beforeRun('restart', 1_100_000, 999_000)).toBe('publisher_lost');
});

test('words of later versions are no cause', () => {
  expect(GAP_CAUSES.map(toGapCause)).toEqual(GAP_CAUSES);
  for (const other of ['sabotage', '', null, undefined, 3, 'toString']) expect(toGapCause(other)).toBeUndefined();
});
