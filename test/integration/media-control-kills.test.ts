import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fromBinary } from '@bufbuild/protobuf';
import { systemClock } from '../../core/clock.ts';
import { FileEventJournal } from '../../media-control/journal/event-journal.ts';
import { ChildProcess, describeExit } from '../../platform/child-process.ts';
import { openDatabase } from '../../platform/database/open.ts';
import { silentLogger } from '../../platform/logging.ts';
import { EventSchema } from '../../proto/gen/imageflow/v1/media_control_pb.ts';
import { seededRandom } from '../support/random.ts';

type Message = Readonly<Record<string, unknown>>;

let folder: string;
beforeAll(() => { folder = mkdtempSync(join(tmpdir(), 'if-mc-')); });
afterAll(() => { rmSync(folder, { recursive: true, force: true }); });

/** One side in a process of its own, and what it said. */
class Side {
  readonly child: ChildProcess;
  readonly #title: string;
  readonly #heard: Message[] = [];
  #wake = Promise.withResolvers<undefined>();

  constructor(script: string, args: readonly string[], onMessage: (message: Message) => void = () => undefined) {
    this.#title = script;
    this.child = ChildProcess.spawn({
      title: 'imageflow-edge test side', script: join(import.meta.dirname, 'media-control', script), args, onStderrLine: (line) => { process.stderr.write(`${line}\n`); },
      onMessage: (message) => {
        this.#heard.push(message);
        onMessage(message);
        this.#wake.resolve(undefined);
        this.#wake = Promise.withResolvers();
      },
    });
  }

  /** What it has said of that type; waits for it. Rejects when the process ends without. */
  async said(type: string): Promise<Message> {
    for (let exit = null; ;) {
      const message = this.#heard.find((each) => each['type'] === type);
      if (message) return message;
      if (exit) throw new Error(`it never said ${type}: ${describeExit(this.#title, exit)}`);
      exit = await Promise.race([this.#wake.promise.then(() => null), this.child.exited]);
    }
  }

  /** Forgets what it has said of that type: `said` then waits for it to be said again. */
  forget(type: string): void {
    for (let i = this.#heard.length - 1; i >= 0; i--) if (this.#heard[i]?.['type'] === type) this.#heard.splice(i, 1);
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.child.exited;
  }
}

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

/**
 * How a round kills. `committed`: control dies when a batch is committed and its acknowledgement has not left. `repeated`: an edge dies when its
 * batch has reached control and is not yet committed, so that the next edge is welcomed at the position before it and sends those events again.
 */
const ROUNDS = [
  ...Array<'control'>(7).fill('control'), ...Array<'edge'>(7).fill('edge'),
  ...Array<'committed'>(3).fill('committed'), ...Array<'repeated'>(3).fill('repeated'),
] as const;

const shuffled = <T>(values: readonly T[], random: () => number): T[] => {
  const left = [...values];
  return values.flatMap(() => left.splice(Math.floor(random() * left.length), 1));
};

test('[D-10] 20 kills of control and edge at random moments, some between commit and acknowledgement: N events are N rows', { timeout: 300_000 }, async () => {
  const seed = Number(process.env['TEST_SEED'] ?? Date.now() % 2 ** 32);
  const random = seededRandom(seed);
  const rounds = shuffled(ROUNDS, random);
  console.info(`TEST_SEED=${String(seed)}: ${rounds.join(' ')}`);

  const database = join(folder, 'control.db');
  const socket = `unix:${join(folder, 'c.sock')}`;
  const written: string[] = [];
  let redelivered = 0;
  let betweenCommitAndAcknowledgement = 0;
  let run = 0;
  const startControl = (): Side => new Side('control-child.ts', [database, socket], (message) => { if (message['type'] === 'redelivered') redelivered += Number(message['count']); });
  const startEdge = (what: string): Side => new Side('edge-child.ts', [folder, socket, `r${run++}`, what], (message) => { if (message['type'] === 'written') written.push(String(message['name'])); });
  const lastSeq = async (): Promise<number> => {
    const db = await openDatabase(database);
    const edge = await db.selectFrom('edges').select('last_seq').executeTakeFirstOrThrow();
    await db.destroy();
    return edge.last_seq;
  };
  let control = startControl();
  let edge = startEdge('write');
  await Promise.all([control.said('ready'), edge.said('written')]);
  for (const round of rounds) {
    await new Promise((resolve) => setTimeout(resolve, 20 + random() * 300));
    switch (round) {
      case 'control':
        await control.kill();
        break;
      case 'committed': {
        control.child.kill('SIGUSR2');
        const said = await control.said('committed');
        expect((await control.child.exited).signal).toBe('SIGKILL');
        expect(await lastSeq()).toBe(said['lastSeq']);
        betweenCommitAndAcknowledgement++;
        break;
      }
      case 'edge':
        await edge.kill();
        break;
      case 'repeated':
        control.child.kill('SIGHUP');
        await control.said('held');
        await edge.kill();
        break;
    }
    if (control.child.running) {
      control.forget('redelivered');
      edge = startEdge('write');
      await edge.said('written');
      if (round === 'repeated') { await control.said('redelivered'); control.forget('held'); }
    } else {
      control = startControl();
      await control.said('ready');
    }
  }
  await edge.kill();
  const drain = startEdge('drain');
  await drain.said('drained');
  await drain.child.exited;
  await control.kill();

  const journal = namesInJournal(join(folder, 'journal'));
  const db = await openDatabase(database);
  const rows = (await db.selectFrom('detections').select('class_name').orderBy('id').execute()).map((row) => row.class_name);
  const sessions = (await db.selectFrom('sessions').select('id').execute()).map((row) => row.id);
  await db.destroy();
  console.info(`${String(rows.length)} rows; ${String(redelivered)} events came to control twice`);
  expect(betweenCommitAndAcknowledgement).toBe(3);
  expect(redelivered).toBeGreaterThanOrEqual(3);
  expect(rows.length).toBeGreaterThan(1000);
  expect(rows).toEqual(journal.detections);
  expect(new Set(rows).size).toBe(rows.length);
  expect(sessions.toSorted()).toEqual(journal.sessions.toSorted());
  const there = new Set(rows);
  expect(written.filter((name) => !there.has(name))).toEqual([]);
});
