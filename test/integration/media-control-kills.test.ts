import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fromBinary } from '@bufbuild/protobuf';
import { systemClock } from '../../core/clock.ts';
import { FileEventJournal } from '../../media-control/journal/event-journal.ts';
import { ChildProcess } from '../../platform/child-process.ts';
import { openDatabase } from '../../platform/database/open.ts';
import { silentLogger } from '../../platform/logging.ts';
import { EventSchema } from '../../proto/gen/imageflow/v1/media_control_pb.ts';

let folder: string;
beforeAll(() => { folder = mkdtempSync(join(tmpdir(), 'if-mc-')); });
afterAll(() => { rmSync(folder, { recursive: true, force: true }); });

interface Side {
  readonly child: ChildProcess;
  readonly said: (type: string) => Promise<void>;
}

const start = (script: string, args: readonly string[], onMessage?: (message: Readonly<Record<string, unknown>>) => void): Side => {
  const heard = new Set<unknown>();
  let wake = (): void => undefined;
  const child = ChildProcess.spawn({
    title: 'imageflow-edge test side', script: join(import.meta.dirname, 'media-control', script), args, onStderrLine: (line) => { process.stderr.write(`${line}\n`); },
    onMessage: (message) => { heard.add(message['type']); onMessage?.(message); wake(); },
  });
  return { child, said: async (type) => { while (!heard.has(type)) await new Promise<void>((resolve) => { wake = resolve; }); } };
};

const namesInJournal = (directory: string): { detections: string[]; sessions: string[] } => {
  using journal = new FileEventJournal({ directory, maxBytes: 1024 ** 3, keepHours: 24, clock: systemClock, logger: silentLogger() });
  const reader = journal.reader(0);
  const [detections, sessions]: [string[], string[]] = [[], []];
  for (let frames = reader.next(1000, 1 << 20); frames.length > 0; frames = reader.next(1000, 1 << 20)) {
    for (const { payload } of frames) {
      const { event } = fromBinary(EventSchema, payload);
      if (event.case === 'detections') detections.push(...event.value.results.flatMap((result) => result.detections.map((d) => d.className)));
      if (event.case === 'session') sessions.push(event.value.id);
    }
  }
  return { detections, sessions };
};

test('[D-10] 20 random kills of control and edge, many between commit and acknowledgement: N events are N rows', { timeout: 300_000 }, async () => {
  const database = join(folder, 'control.db');
  const socket = `unix:${join(folder, 'c.sock')}`;
  const written: string[] = [];
  let run = 0;
  const startControl = (): Side => start('control-child.ts', [database, socket]);
  const startEdge = (what: string): Side => start('edge-child.ts', [folder, socket, `r${run++}`, what], (message) => { if (message['type'] === 'written') written.push(String(message['name'])); });
  let control = startControl();
  let edge = startEdge('write');
  await Promise.all([control.said('ready'), edge.said('written')]);
  for (let kill = 0; kill < 20; kill++) {
    await new Promise((resolve) => setTimeout(resolve, 20 + Math.random() * 300));
    if (Math.random() < 0.5) {
      control.child.kill('SIGKILL');
      await control.child.exited;
      control = startControl();
      await control.said('ready');
    } else {
      edge.child.kill('SIGKILL');
      await edge.child.exited;
      edge = startEdge('write');
      await edge.said('written');
    }
  }
  edge.child.kill('SIGKILL');
  await edge.child.exited;
  const drain = startEdge('drain');
  await drain.said('drained');
  await drain.child.exited;
  control.child.kill('SIGKILL');
  await control.child.exited;

  const journal = namesInJournal(join(folder, 'journal'));
  const db = await openDatabase(database);
  const rows = (await db.selectFrom('detections').select('class_name').orderBy('id').execute()).map((row) => row.class_name);
  const sessions = (await db.selectFrom('sessions').select('id').execute()).map((row) => row.id);
  await db.destroy();
  expect(rows.length).toBeGreaterThan(1000);
  expect(rows).toEqual(journal.detections);
  expect(new Set(rows).size).toBe(rows.length);
  expect(sessions.toSorted()).toEqual(journal.sessions.toSorted());
  const there = new Set(rows);
  expect(written.filter((name) => !there.has(name))).toEqual([]);
});
