/** Real recordings of one camera, made in a moment: for tests of what becomes of them. */
import { cp, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { FakeClock } from '../../core/testing-clock.ts';
import type { Alarm, EdgeEvent } from '../../media-control/port.ts';
import { silentLogger } from '../../platform/logging.ts';
import type { Metrics } from '../../platform/metrics.ts';
import { createMetrics } from '../../platform/metrics.ts';
import { SigningKey } from '../../platform/signing-key.ts';
import { KeptRanges } from '../kept-ranges.ts';
import type { SegmentRecord } from '../port.ts';
import { Recorder } from '../recorder.ts';
import type { RecorderSettings } from '../recorder.ts';
import type { SegmentDisk } from '../segment-writer.ts';
import { TestStream, testInit, testPart } from '../testing-parts.ts';
import type { TestPartOptions } from '../testing-parts.ts';
import { CHAIN_FILE, parseChainManifest } from './chain-manifest.ts';
import type { ChainManifest } from './chain-manifest.ts';

const SETTINGS: RecorderSettings = { segment_seconds: 0.4, flush_ms: 200, window_minutes: 1e6, min_free_bytes: 0, max_bytes: null };

const HELD = 'recording_retention_held';

/** An installation's folder and key; recorders come and go in it. Disposing removes it. */
export class TestInstallation implements AsyncDisposable {
  readonly folder: string;
  readonly key: SigningKey;
  readonly clock = new FakeClock();
  readonly events: EdgeEvent[] = [];
  /** Milliseconds of media recorded so far. */
  at = 0;

  private constructor(folder: string, key: SigningKey) {
    this.folder = folder;
    this.key = key;
  }

  static async create(): Promise<TestInstallation> {
    const folder = await mkdtemp(join(tmpdir(), 'imageflow-installation-'));
    return new TestInstallation(folder, await SigningKey.open(join(folder, 'keys', 'signing.pem')));
  }

  get recordings(): string { return join(this.folder, 'recordings'); }
  get alarms(): string[] { return this.events.flatMap((event) => (event.type === 'alarm' && event.alarm.raised && event.alarm.code !== HELD ? [event.alarm.code] : [])); }

  /** A recorder as an edge process starts it. */
  async start(settings: Partial<RecorderSettings> = {}, disk?: SegmentDisk): Promise<TestRecorder> {
    const stream = new TestStream();
    const metrics = createMetrics('test');
    const recorder = await Recorder.start(this.recordings, { ...SETTINGS, ...settings }, {
      streams: stream, journal: { append: (event) => { this.events.push(event); } }, clock: this.clock, logger: silentLogger(), metrics, policyOf: () => 'always', key: this.key, kept: () => new KeptRanges([]),
      confirmedHold: () => this.#held()?.at, // an operator who agrees to everything
      ...(disk ? { segmentDisk: disk } : {}),
    });
    while (stream.parts.branchCount === 0) await setImmediate();
    return new TestRecorder(this, recorder, stream, metrics);
  }

  manifest(): Promise<ChainManifest> {
    return readFile(join(this.recordings, CHAIN_FILE), 'utf8').then((jws) => parseChainManifest(jws, this.key.public));
  }

  /** Lets time pass until `condition` holds: slowly, for the disk has its deadlines. */
  async pass(condition: () => Promise<boolean> | boolean): Promise<void> {
    while (!(await condition())) {
      this.clock.advance(500);
      await sleep(20); // signing may take two seconds of the clock, and the disk takes its own time
    }
  }

  /** Ids of the camera's files, by start. */
  async files(): Promise<string[]> {
    return (await readdir(join(this.recordings, 'cam'))).filter((name) => name.endsWith('.mp4')).sort().map((name) => `cam/${name.slice(0, -'.mp4'.length)}`);
  }

  path(id: string): string { return join(this.recordings, `${id}.mp4`); }

  #held(): Alarm | undefined {
    const event = this.events.findLast((each) => each.type === 'alarm' && each.alarm.code === HELD);
    return event?.type === 'alarm' ? event.alarm : undefined;
  }

  /** Everything as it is on the disk now, elsewhere; what a kill leaves. */
  async copy(): Promise<TestInstallation> {
    const folder = await mkdtemp(join(tmpdir(), 'imageflow-installation-'));
    await cp(this.folder, folder, { recursive: true });
    const copy = new TestInstallation(folder, this.key);
    copy.clock.advance(this.clock.monotonic());
    copy.at = this.at;
    return copy;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

export class TestRecorder implements AsyncDisposable {
  readonly recorder: Recorder;
  readonly stream: TestStream;
  readonly #installation: TestInstallation;
  readonly #metrics: Metrics;
  readonly #init = testInit();

  constructor(installation: TestInstallation, recorder: Recorder, stream: TestStream, metrics: Metrics) {
    this.#metrics = metrics;
    this.#installation = installation;
    this.recorder = recorder;
    this.stream = stream;
  }

  segments(): SegmentRecord[] { return this.recorder.knownSegments(); }

  /** Records so many segments of 400 ms; the last one stays open until the next begins. */
  async record(count: number, more: Partial<TestPartOptions> = {}): Promise<void> {
    const installation = this.#installation;
    const bytes = (): number => this.segments().reduce((sum, segment) => sum + segment.bytes, 0);
    for (let i = 0; i < count * 2; i++) {
      const before = bytes();
      const known = this.segments().length;
      this.stream.parts.publish(testPart({ at: installation.at, init: this.#init, epoch: 1, randomAccess: i % 2 === 0, ...more }));
      installation.at += 200;
      installation.clock.advance(200);
      // The index hears of the first part of a segment at once.
      if (i % 2 === 0) while (this.segments().length === known || bytes() === before) await setImmediate();
    }
  }

  /** Records one part of 200 ms, and waits until it is written. */
  async part(randomAccess: boolean, sampleBytes = 10): Promise<void> {
    const installation = this.#installation;
    const written = async (): Promise<number> => (await this.#metrics.recordedBytes.get()).values[0]?.value ?? 0;
    const before = await written();
    this.stream.parts.publish(testPart({ at: installation.at, init: this.#init, epoch: 1, randomAccess, sampleBytes }));
    installation.at += 200;
    installation.clock.advance(200);
    while ((await written()) === before) await setImmediate();
  }

  /** The camera leaves: the segment is closed. */
  async close(): Promise<void> {
    this.stream.change('session-1', 'ended');
    while (this.segments().some(({ open }) => open)) await setImmediate();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.recorder[Symbol.asyncDispose]();
  }
}
