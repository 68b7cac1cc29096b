import { invariant } from './errors.ts';

/** What a Hub carries. */
export interface Publishable {
  readonly byteLength: number;
  /** A consumer that joins or has skipped can begin with this unit. */
  readonly randomAccess: boolean;
}

export type DropPolicy =
  | 'skip-to-random-access' // viewers, decoder: never half a GOP
  | 'keep-latest' // units that stand alone: the newest wins
  | 'fail'; // recorder: a hole is a fault, not a statistic

export interface BranchOptions {
  /** Names the branch in metrics: `imageflow_branch_dropped_total{branch}`. */
  readonly name: string;
  readonly dropPolicy: DropPolicy;
  readonly maxUnits: number;
  readonly maxBytes: number;
  /** Start with the cached GOP instead of the next unit. */
  readonly replay?: boolean;
}

/** Told of every drop, so that a metric can count it. */
export type DropListener = (branch: string, reason: 'queue_full' | 'awaiting_random_access', units: number) => void;

export interface HubOptions {
  /** Keep everything since the last random access *video* unit for branches that ask for a replay; whole GOP or nothing. */
  readonly gopCache?: { readonly maxUnits: number; readonly maxBytes: number };
  readonly onDrop?: DropListener;
}

/**
 * The one fan-out: every consumer of a stream is a branch of its Hub. Publishing never waits; each branch owns a bounded
 * queue and a named drop policy (STYLE §4).
 */
export class Hub<T extends Publishable> implements Disposable {
  #branches: readonly Branch<T>[] = []; // copy-on-write: publish() iterates a list nobody mutates
  #sinks: readonly ((unit: T) => void)[] = [];
  #gop: T[] = [];
  #gopBytes = 0;
  #gopValid = false;
  readonly #options: HubOptions;

  constructor(options: HubOptions = {}) {
    this.#options = options;
  }

  /** Hands `unit` to every sink, then to every branch, synchronously. A sink that throws is our bug and propagates. */
  publish(unit: T): void {
    this.#remember(unit);
    for (const sink of this.#sinks) sink(unit);
    for (const branch of this.#branches) branch.offer(unit);
  }

  /** Everything since the last random access point, oldest first; empty when unknown or over the cache's bounds. */
  gop(): readonly T[] {
    return this.#gopValid ? this.#gop : [];
  }

  /** Forgets the cached GOP: what comes next does not continue it (a new epoch). */
  clearGop(): void {
    this.#gop = [];
    this.#gopBytes = 0;
    this.#gopValid = false;
  }

  /**
   * A consumer that takes every unit synchronously and never waits (the WebRTC egress loop, the muxer). It must not throw.
   * Disposing detaches.
   */
  attach(sink: (unit: T) => void): Disposable {
    this.#sinks = [...this.#sinks, sink];
    return { [Symbol.dispose]: () => { this.#sinks = this.#sinks.filter((s) => s !== sink); } };
  }

  /** A consumer with a queue of its own. Leaving its `for await` loop or disposing unsubscribes. */
  subscribe(options: BranchOptions): Branch<T> {
    const branch = new Branch<T>(options, this.#options.onDrop, (self) => {
      this.#branches = this.#branches.filter((b) => b !== self);
    });
    if (options.replay) for (const unit of this.gop()) branch.offer(unit);
    this.#branches = [...this.#branches, branch];
    return branch;
  }

  get branchCount(): number {
    return this.#branches.length + this.#sinks.length;
  }

  /** The source is gone for good: every branch drains, then finishes (or throws `failure`). */
  end(failure?: Error): void {
    for (const branch of this.#branches) branch.end(failure);
  }

  [Symbol.dispose](): void {
    for (const branch of this.#branches) branch[Symbol.dispose]();
    this.#sinks = [];
    this.clearGop();
  }

  #remember(unit: T): void {
    const cache = this.#options.gopCache;
    if (!cache) return;
    // Audio units are all random access: only video starts a GOP. A stream without video caches nothing.
    if (unit.randomAccess && (unit as { kind?: string }).kind !== 'audio') {
      this.#gop = [];
      this.#gopBytes = 0;
      this.#gopValid = true;
    }
    if (!this.#gopValid) return;
    this.#gop.push(unit);
    this.#gopBytes += unit.byteLength;
    if (this.#gop.length > cache.maxUnits || this.#gopBytes > cache.maxBytes) this.clearGop();
  }
}

/** One consumer's bounded queue. One consumer only: a second waiting one is a bug and throws. */
export class Branch<T extends Publishable> implements AsyncIterable<T>, AsyncIterator<T>, Disposable {
  readonly name: string;
  readonly #options: BranchOptions;
  readonly #onDrop: DropListener | undefined;
  readonly #detach: (self: Branch<T>) => void;
  #queue: T[] = [];
  #head = 0;
  #queuedBytes = 0;
  #awaitingRandomAccess: boolean;
  #ended = false;
  #failure: Error | undefined;
  #waiting: { resolve: (result: IteratorResult<T, undefined>) => void; reject: (error: Error) => void } | undefined;

  constructor(options: BranchOptions, onDrop: DropListener | undefined, detach: (self: Branch<T>) => void) {
    invariant(options.maxUnits > 0 && options.maxBytes > 0, `branch ${options.name} needs room for a unit`);
    this.name = options.name;
    this.#options = options;
    this.#onDrop = onDrop;
    this.#detach = detach;
    this.#awaitingRandomAccess = options.dropPolicy === 'skip-to-random-access';
  }

  get queuedUnits(): number { return this.#queue.length - this.#head; }
  get queuedBytes(): number { return this.#queuedBytes; }

  offer(unit: T): void {
    if (this.#ended) return;
    if (this.#awaitingRandomAccess) {
      // Audio is random access, too, but a picture must come first.
      if (!unit.randomAccess || (unit as { kind?: string }).kind === 'audio') {
        this.#onDrop?.(this.name, 'awaiting_random_access', 1);
        return;
      }
    }
    if (!this.#fits(unit) && !this.#makeRoom(unit)) return;
    this.#awaitingRandomAccess = false;
    if (this.#waiting) {
      const { resolve } = this.#waiting;
      this.#waiting = undefined;
      resolve({ done: false, value: unit });
      return;
    }
    this.#queue.push(unit);
    this.#queuedBytes += unit.byteLength;
  }

  /** The next unit if one is queued; never waits. */
  poll(): T | undefined {
    if (this.#head >= this.#queue.length) return undefined;
    const unit = this.#queue[this.#head];
    this.#head++;
    if (this.#head > 64 && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    if (unit) this.#queuedBytes -= unit.byteLength;
    return unit;
  }

  async next(): Promise<IteratorResult<T, undefined>> {
    const unit = this.poll();
    if (unit) return { done: false, value: unit };
    if (this.#failure) throw this.#failure;
    if (this.#ended) return { done: true, value: undefined };
    invariant(!this.#waiting, `branch ${this.name} has two consumers`);
    return new Promise((resolve, reject) => { this.#waiting = { resolve, reject }; });
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this[Symbol.dispose]();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this { return this; }

  /** The source is gone: what is queued is still delivered, then the loop finishes or throws `failure`. */
  end(failure?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = failure;
    this.#detach(this);
    if (!this.#waiting) return;
    const { resolve, reject } = this.#waiting;
    this.#waiting = undefined;
    if (failure) reject(failure);
    else resolve({ done: true, value: undefined });
  }

  /** The owner wants it gone: queued units are dropped in silence. Idempotent. */
  [Symbol.dispose](): void {
    this.#queue = [];
    this.#head = 0;
    this.#queuedBytes = 0;
    this.end();
  }

  #fits(unit: T): boolean {
    return this.queuedUnits < this.#options.maxUnits && this.#queuedBytes + unit.byteLength <= this.#options.maxBytes;
  }

  #makeRoom(unit: T): boolean {
    const dropped = this.queuedUnits;
    switch (this.#options.dropPolicy) {
      case 'fail':
        this.#queue = [];
        this.#head = 0;
        this.#queuedBytes = 0;
        this.#onDrop?.(this.name, 'queue_full', dropped + 1);
        this.end(new Error(`branch ${this.name} is full: ${String(dropped)} units waiting`));
        return false;
      case 'keep-latest':
        this.#queue = [];
        this.#head = 0;
        this.#queuedBytes = 0;
        if (unit.byteLength <= this.#options.maxBytes) {
          this.#onDrop?.(this.name, 'queue_full', dropped);
          return true;
        }
        this.#onDrop?.(this.name, 'queue_full', dropped + 1);
        return false;
      case 'skip-to-random-access':
        this.#queue = [];
        this.#head = 0;
        this.#queuedBytes = 0;
        if (unit.randomAccess && (unit as { kind?: string }).kind !== 'audio' && unit.byteLength <= this.#options.maxBytes) {
          this.#onDrop?.(this.name, 'queue_full', dropped);
          return true;
        }
        this.#awaitingRandomAccess = true;
        this.#onDrop?.(this.name, 'queue_full', dropped + 1);
        return false;
    }
  }
}
