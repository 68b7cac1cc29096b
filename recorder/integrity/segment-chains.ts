/** The chains of all cameras, and the signed manifest that pins them: written within seconds of every change, and when the recorder stops. */
import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import type { ChainLink } from '../../core/fmp4/segment-info-box.ts';
import type { CameraId } from '../../core/frame-ref.ts';
import type { Milliseconds } from '../../core/units.ts';
import type { Logger } from '../../platform/logging.ts';
import type { SigningKey } from '../../platform/signing-key.ts';
import { withDeadline } from '../deadline.ts';
import type { SegmentRecord } from '../port.ts';
import { CameraChain } from './camera-chain.ts';
import { parseChainManifest, readChainFile, writeChainFile } from './chain-manifest.ts';
import type { ChainManifest } from './chain-manifest.ts';

export interface SegmentChainsDeps {
  readonly key: SigningKey;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A change is signed at the latest after so long: all cameras' changes together cost one small write and one fsync. */
const PIN_INTERVAL: Milliseconds = 5_000;
/** A stop, or a disk under pressure, does not wait longer for a disk that hangs. */
const PIN_DEADLINE: Milliseconds = 2_000;

export class SegmentChains implements AsyncDisposable {
  readonly key: SigningKey;
  readonly #directory: string;
  readonly #deps: SegmentChainsDeps;
  readonly #cameras = new Map<CameraId, CameraChain>();
  /** Why nothing signed was there at the start; undefined: there was, or there is nothing yet. */
  readonly #anew: string | undefined;
  /** The recorder had ended in good order. */
  readonly #wasStopped: boolean;
  #timer: Disposable | undefined;
  #changed = true;
  #writing: Promise<void> | undefined;
  #stopped = false;

  private constructor(directory: string, deps: SegmentChainsDeps, manifest: ChainManifest | undefined, anew: string | undefined) {
    this.key = deps.key;
    this.#directory = directory;
    this.#deps = deps;
    this.#anew = anew;
    this.#wasStopped = manifest?.stopped ?? false;
    for (const [camera, state] of Object.entries(manifest?.cameras ?? {})) this.#cameras.set(camera, new CameraChain(state));
  }

  /** Reads the manifest below `directory`. One that cannot be read or was signed with another key is as good as none, and is said so in the next one. */
  static async open(directory: string, deps: SegmentChainsDeps): Promise<SegmentChains> {
    let anew: string | undefined;
    try {
      const jws = await readChainFile(directory);
      if (jws !== undefined) return new SegmentChains(directory, deps, await parseChainManifest(jws, deps.key.public), undefined);
      anew = 'there was no signed manifest';
    } catch (error) {
      anew = messageOf(error);
      deps.logger.error({ err: error }, 'the signed manifest of the recordings cannot be used');
    }
    return new SegmentChains(directory, deps, undefined, anew);
  }

  /** Cameras that segments are pinned of. */
  cameras(): CameraId[] {
    return [...this.#cameras.keys()];
  }

  /** Whether the segment was pinned before, or nothing was or can be: then what is noted beside it is enough to know it again. */
  isPinned(segment: SegmentRecord): boolean {
    return this.#anew !== undefined || !segment.chain || this.#of(segment.camera).has(segment.chain.position);
  }

  /** Whether a file found at the start is one that this recorder was writing when it was killed. */
  isLeftBehind(camera: CameraId, { position }: ChainLink): boolean {
    if (this.#anew !== undefined) return true; // said so in the manifest
    const chain = this.#of(camera);
    return this.#wasStopped ? chain.isOpen(position) : chain.isOpen(position) || chain.isBehindHead(position);
  }

  begin(camera: CameraId, id: string): ChainLink {
    return this.#of(camera).begin(id);
  }

  /** A segment that came to nothing. */
  abandon(camera: CameraId, id: string, link: ChainLink): void {
    this.#of(camera).abandon(id, link);
    this.#change();
  }

  closed(segment: SegmentRecord): void {
    const chain = this.#of(segment.camera);
    if (segment.chain) chain.closed(segment);
    else chain.follow(segment.id, segment.sha256);
    this.#change();
  }

  expired(segment: SegmentRecord): void {
    this.#of(segment.camera).expired(segment);
    this.#change();
  }

  /** At the start, once all of a camera's files are known: how many pinned segments are not among them. `present`: positions. */
  reconcile(camera: CameraId, present: ReadonlySet<number>): number {
    const chain = this.#of(camera);
    if (this.#anew !== undefined) chain.begunAnew(this.#deps.clock.now(), this.#anew);
    this.#change();
    return chain.reconcile(present);
  }

  /** Why the chains begin anew although there are recordings; undefined: they do not. */
  begunAnew(camera: CameraId): string | undefined {
    return this.#of(camera).state.anew?.reason;
  }

  /** Signs all that has changed by now. Never throws, and waits two seconds at most: it goes on behind. */
  async pin(): Promise<void> {
    await withDeadline(this.#deps.clock, this.#signed(), PIN_DEADLINE).catch(() => undefined);
  }

  /** Signs that nothing more comes. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    if (this.#writing) await withDeadline(this.#deps.clock, this.#writing, PIN_DEADLINE).catch(() => undefined);
    this.#changed = true;
    await this.pin();
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  #of(camera: CameraId): CameraChain {
    let chain = this.#cameras.get(camera);
    if (!chain) this.#cameras.set(camera, chain = new CameraChain());
    return chain;
  }

  #change(): void {
    this.#changed = true;
    if (this.#stopped || this.#writing) return;
    this.#timer ??= this.#deps.clock.after(PIN_INTERVAL, () => void this.pin());
  }

  async #signed(): Promise<void> {
    await this.#writing; // what is being written may be older than the latest change
    if (this.#changed && !this.#writing) this.#begin();
    await this.#writing;
  }

  #begin(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#changed = false;
    this.#writing = this.#write().finally(() => {
      this.#writing = undefined;
      if (this.#changed) this.#change();
    });
  }

  async #write(): Promise<void> {
    const cameras = Object.fromEntries([...this.#cameras].map(([camera, chain]) => [camera, chain.state]));
    try {
      await writeChainFile(this.#directory, { version: 1, at: this.#deps.clock.now(), stopped: this.#stopped, cameras }, this.#deps.key);
    } catch (error) {
      this.#changed = true; // tried again: the disk may be full
      this.#deps.logger.warn({ err: error }, 'the signed manifest of the recordings was not written');
    }
  }
}
