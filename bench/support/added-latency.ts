import type { PeerReport } from './peer-process.ts';

/** Milliseconds from the last packet of each picture sent to its last packet at each viewer. */
export const addedLatencies = (published: PeerReport, watched: PeerReport): number[] => {
  const sentAt = new Map(published.sent.map(({ timestamp, lastAt }) => [timestamp, lastAt]));
  return watched.viewers.flatMap(({ complete }) => complete.flatMap(({ timestamp, at }) => {
    const sent = sentAt.get(timestamp);
    return sent === undefined ? [] : [at - sent];
  }));
};
