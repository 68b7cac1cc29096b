/** Keeps one camera recorded: starts a run, and after a failure another one, with an alarm in between. The live path never waits for it. */
import { messageOf } from '../core/errors.ts';
import type { Milliseconds } from '../core/units.ts';
import type { EventJournal } from '../media-control/port.ts';
import type { PartStream } from '../muxer/port.ts';
import { DiskStuckError } from './deadline.ts';
import { PublicationEnds } from './gap-cause.ts';
import type { SegmentRecord } from './port.ts';
import { RecordingRun } from './recording-run.ts';
import type { RecordingDeps, RecordingOptions } from './recording-run.ts';

export interface CameraRecorderDeps extends Omit<RecordingDeps, 'publicationEnds' | 'keptBy'> {
  /** Whether a segment was there before this process: behind it, the server was restarted. */
  readonly inherited: (segment: SegmentRecord) => boolean;
  readonly journal: EventJournal;
  /** The disk is full: makes room if it can and says whether it did. Never throws. */
  readonly relieveDisk: () => Promise<boolean>;
}

const FIRST_PAUSE: Milliseconds = 1_000;
const LONGEST_PAUSE: Milliseconds = 10_000;
/** A clean stop has 10 s for the whole server; a stuck disk must not take them all. */
const STOP_DEADLINE: Milliseconds = 5_000;

export class CameraRecorder implements AsyncDisposable {
  readonly #stream: PartStream;
  readonly #options: RecordingOptions;
  readonly #deps: CameraRecorderDeps;
  readonly #listening = new DisposableStack();
  readonly #publicationEnds = new PublicationEnds();
  /** Why the next run is not the first, if it is not. */
  #keptBy: 'disk' | 'recording_off' | undefined;
  #run: RecordingRun | undefined;
  #running: Promise<void> = Promise.resolve();
  #wanted = false;
  #disposed = false;
  #sequence = 0;
  #sequenceSession: string | undefined;
  #failures = 0;
  /** Its code while the alarm is raised. */
  #alarm: string | undefined;
  #interruptPause: (() => void) | undefined;

  constructor(stream: PartStream, options: RecordingOptions, deps: CameraRecorderDeps) {
    this.#stream = stream;
    this.#options = options;
    this.#deps = deps;
    this.#listening.use(stream.onSession((session) => {
      const { phase, epoch } = session;
      this.#publicationEnds.session(session);
      if (phase === 'interrupted' || phase === 'ended') this.#run?.closeSegment(epoch ?? Infinity);
    }));
    this.#listening.use(stream.onUnmuxable((epoch) => { this.#publicationEnds.notRecorded(epoch); }));
  }

  /** How old the oldest part not yet written is; 0 when all is written or nothing is recorded. */
  lag(now: Milliseconds): Milliseconds { return this.#run?.lag(now) ?? 0; }

  /** Starts recording at the next random access part. Does nothing when it is on already. */
  start(): void {
    if (this.#wanted || this.#disposed) return;
    this.#wanted = true;
    const before = this.#running;
    this.#running = before.then(() => this.#supervise());
  }

  /** Writes what is queued, closes the segment and stops; gives up on a disk that does not answer after 5 s. */
  async stop(): Promise<void> {
    this.#keptBy = 'recording_off';
    this.#wanted = false;
    this.#run?.stop();
    this.#interruptPause?.();
    let timer: Disposable | undefined;
    const deadline = new Promise<void>((resolve) => { timer = this.#deps.clock.after(STOP_DEADLINE, resolve); });
    await Promise.race([this.#running, deadline]);
    timer?.[Symbol.dispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#listening.dispose();
    await this.stop();
    this.#deps.metrics.recorderLag.remove({ camera: this.#stream.camera });
    this.#clearAlarm(`Recording of camera ${this.#stream.camera} was stopped.`);
  }

  #runDeps(): RecordingDeps {
    const kept = this.#keptBy;
    return { ...this.#deps, publicationEnds: this.#publicationEnds, keptBy: (before) => kept ?? (this.#deps.inherited(before) ? 'restart' : 'recording_off') };
  }

  async #supervise(): Promise<void> {
    while (this.#wanted) {
      const run = new RecordingRun(this.#stream, this.#options, this.#runDeps(), () => this.#nextSequence(), () => { this.#onWritten(); });
      this.#run = run;
      try {
        await run.run();
        return; // stopped, or the camera was removed
      } catch (error) {
        await this.#afterFailure(error);
      } finally {
        this.#run = undefined;
      }
    }
  }

  async #afterFailure(error: unknown): Promise<void> {
    const { camera, parts } = this.#stream;
    if (this.#wanted) this.#keptBy = 'disk';
    const full = isDiskFull(error);
    const reason = full ? 'disk_full' : 'write_failed';
    // What comes while nobody is subscribed is lost to the recording: counted, not silent.
    using _ = parts.attach(() => { this.#deps.metrics.branchDropped.inc({ camera, branch: 'recorder', reason }); });
    this.#failures++;
    this.#deps.logger.error({ camera, err: error, failures: this.#failures }, 'recording failed');
    // Making room by deleting the oldest is the ordinary course of things; only if that does not help somebody must act.
    if (full && (await this.#deps.relieveDisk()) && this.#failures === 1) return;
    this.#raiseAlarm(full, error);
    await this.#pause(Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (this.#failures - 1)));
    if (error instanceof DiskStuckError) await this.#answered(error);
  }

  #pause(delay: Milliseconds): Promise<void> {
    if (!this.#wanted) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.#deps.clock.after(delay, resolve);
      this.#interruptPause = () => {
        timer[Symbol.dispose]();
        resolve();
      };
    });
  }

  /** A disk that does not answer is not asked again before it does: every question would hold a thread of four, and the media that goes with it. */
  #answered(stuck: DiskStuckError): Promise<void> {
    if (!this.#wanted) return Promise.resolve();
    return new Promise((resolve) => {
      this.#interruptPause = resolve;
      void stuck.settled.then(resolve);
    });
  }

  #onWritten(): void {
    if (this.#failures > 0) this.#deps.logger.info({ camera: this.#stream.camera }, 'recording resumed');
    this.#failures = 0;
    this.#clearAlarm(`Camera ${this.#stream.camera} is being recorded again.`);
  }

  #nextSequence(): number {
    const session = this.#stream.session?.id;
    if (session !== this.#sequenceSession) this.#sequence = 0;
    this.#sequenceSession = session;
    return this.#sequence++;
  }

  #raiseAlarm(full: boolean, error: unknown): void {
    const { camera } = this.#stream;
    if (this.#alarm) return;
    this.#alarm = full ? 'recording_disk_full' : 'recording_failed';
    this.#tell(this.#alarm, true, full
      ? `Camera ${camera} is not being recorded: the disk is full. Recording resumes by itself when there is room.`
      : `Camera ${camera} is not being recorded: ${messageOf(error)}. It is tried again every few seconds.`);
  }

  #clearAlarm(message: string): void {
    if (!this.#alarm) return;
    this.#tell(this.#alarm, false, message);
    this.#alarm = undefined;
  }

  #tell(code: string, raised: boolean, message: string): void {
    const { camera } = this.#stream;
    this.#deps.journal.append({ type: 'alarm', alarm: { id: `recording/${camera}`, camera, code, message, raised, at: this.#deps.clock.now() } });
  }
}

/** ENOSPC, EDQUOT (quota), EFBIG (a file size limit). */
const isDiskFull = (error: unknown): boolean => ['ENOSPC', 'EDQUOT', 'EFBIG'].includes((error as { code?: unknown }).code as string);
