import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, readdirSync, readSync, rmSync, statSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Milliseconds } from '../../core/units.ts';
import { decodeFrame, frameLength } from './frame.ts';
import type { Frame } from './frame.ts';

/** One file of a lane. Its name is the sequence number of its first event. */
export interface LaneFile {
  readonly path: string;
  readonly firstSeq: number;
  /** Of a closed file possibly more than its last event's: the number before the next file's first. */
  lastSeq: number;
  bytes: number;
  /** When it was last written, Unix ms. */
  writtenAt: Milliseconds;
}

/** What is in a file: its good frames, and where they end. */
interface Scan {
  readonly lastSeq: number;
  readonly goodBytes: number;
  readonly events: number;
  readonly weight: number;
}

const scan = (path: string): Scan => {
  const bytes = readFileSync(path);
  let [offset, lastSeq, events, weight] = [0, 0, 0, 0];
  for (;;) {
    const decoded = decodeFrame(bytes, offset);
    if (typeof decoded === 'string') return { lastSeq, goodBytes: offset, events, weight };
    offset += decoded.byteLength;
    lastSeq = decoded.frame.seq;
    events += 1;
    weight += decoded.frame.weight;
  }
};

/**
 * Append-only files of one kind of events, in order. What a kill left behind at the end of the last file (half an event) is cut off when it
 * is opened. All sizes in bytes. Writing is synchronous: into the page cache, which survives the process.
 */
export class Lane implements Disposable {
  readonly #directory: string;
  readonly #fileBytes: number;
  #files: LaneFile[];
  #fd: number | undefined;
  /** Bytes cut off as torn when the lane was opened. */
  readonly tornBytes: number;

  /** Opens or makes the folder. A file is closed once it has `fileBytes`. */
  constructor(directory: string, fileBytes: number) {
    this.#directory = directory;
    this.#fileBytes = fileBytes;
    mkdirSync(directory, { recursive: true });
    const names = readdirSync(directory).filter((name) => /^\d{16}\.log$/.test(name)).sort();
    this.#files = names.map((name) => {
      const path = join(directory, name);
      const { size, mtimeMs } = statSync(path);
      return { path, firstSeq: Number.parseInt(name, 10), lastSeq: 0, bytes: size, writtenAt: mtimeMs };
    });
    for (const [index, file] of this.#files.entries()) file.lastSeq = (this.#files[index + 1]?.firstSeq ?? 0) - 1;
    this.tornBytes = this.#repairLast();
  }

  get files(): readonly LaneFile[] { return this.#files; }
  /** Those that nothing is added to any more. */
  get finishedFiles(): readonly LaneFile[] { return this.#fd === undefined ? this.#files : this.#files.slice(0, -1); }
  get bytes(): number { return this.#files.reduce((sum, file) => sum + file.bytes, 0); }
  /** The last event's number; 0 when there is none. */
  get lastSeq(): number { return this.#files.at(-1)?.lastSeq ?? 0; }

  /** Writes encoded frames, `firstSeq` to `lastSeq`. Throws what the file system throws; then nothing of them is kept. */
  write(bytes: Buffer, firstSeq: number, lastSeq: number, now: Milliseconds): void {
    let file = this.#files.at(-1);
    if (!file || this.#fd === undefined || file.bytes >= this.#fileBytes) file = this.#begin(firstSeq, now);
    const fd = this.#fd;
    if (fd === undefined) throw new Error('invariant broken: the lane has an open file');
    try {
      for (let written = 0; written < bytes.length;) written += writeSync(fd, bytes, written, bytes.length - written, file.bytes + written);
    } catch (error) {
      ftruncateSync(fd, file.bytes);
      throw error;
    }
    file.bytes += bytes.length;
    file.lastSeq = lastSeq;
    file.writtenAt = now;
  }

  /** The next write begins a new file. */
  closeFile(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  /** Counts what is in a file (reads it whole). */
  count(file: LaneFile): { readonly events: number; readonly weight: number } {
    return scan(file.path);
  }

  delete(file: LaneFile): void {
    if (file === this.#files.at(-1)) this.closeFile();
    this.#files = this.#files.filter((other) => other !== file);
    rmSync(file.path, { force: true });
  }

  [Symbol.dispose](): void {
    this.closeFile();
  }

  #begin(firstSeq: number, now: Milliseconds): LaneFile {
    this.closeFile();
    const path = join(this.#directory, `${String(firstSeq).padStart(16, '0')}.log`);
    this.#fd = openSync(path, 'w', 0o600);
    const file = { path, firstSeq, lastSeq: firstSeq - 1, bytes: 0, writtenAt: now };
    this.#files.push(file);
    return file;
  }

  #repairLast(): number {
    let torn = 0;
    for (let last = this.#files.at(-1); last; last = this.#files.at(-1)) {
      const { lastSeq, goodBytes, events } = scan(last.path);
      torn += last.bytes - goodBytes;
      if (events === 0) {
        this.delete(last);
        continue;
      }
      if (goodBytes < last.bytes) truncateSync(last.path, goodBytes);
      last.bytes = goodBytes;
      last.lastSeq = lastSeq;
      break;
    }
    return torn;
  }
}

const CHUNK_BYTES = 256 * 1024;

/** Reads a lane in order, and remembers where it was. Several may read one lane. */
export class LaneReader {
  readonly #lane: Lane;
  #file: LaneFile | undefined;
  /** In the file, of `#buffer`'s first byte. */
  #base = 0;
  #buffer: Buffer = Buffer.alloc(0);
  #offset = 0;
  #peeked: Frame | undefined;
  #peekedBytes = 0;
  #after: number;
  readonly #onDamaged: (path: string) => void;

  /** Starts behind the event `after`. `onDamaged`: the rest of this file cannot be read and is passed over. */
  constructor(lane: Lane, after: number, onDamaged: (path: string) => void) {
    this.#lane = lane;
    this.#onDamaged = onDamaged;
    this.#after = after;
  }

  /** The next event, without taking it; undefined when all that is written has been read. */
  peek(): Frame | undefined {
    this.#peeked ??= this.#read();
    return this.#peeked;
  }

  /** Takes what `peek` gave. */
  take(): void {
    if (!this.#peeked) return;
    this.#after = this.#peeked.seq;
    this.#offset += this.#peekedBytes;
    this.#peeked = undefined;
  }

  #read(): Frame | undefined {
    for (;;) {
      if (!this.#file || !this.#lane.files.includes(this.#file)) this.#open(this.#lane.files.find((file) => file.lastSeq > this.#after));
      const file = this.#file;
      if (!file) return undefined;
      const decoded = this.#decode(file);
      if (typeof decoded !== 'string') {
        if (decoded.frame.seq > this.#after) {
          this.#peekedBytes = decoded.byteLength;
          return decoded.frame;
        }
        this.#offset += decoded.byteLength;
        continue;
      }
      const next = this.#lane.files[this.#lane.files.indexOf(file) + 1];
      // The last file: more may be written behind what there is.
      if (!next) return undefined;
      if (this.#base + this.#offset < file.bytes) this.#onDamaged(file.path);
      this.#open(next);
    }
  }

  #open(file: LaneFile | undefined): void {
    this.#file = file;
    this.#base = 0;
    this.#offset = 0;
    this.#buffer = Buffer.alloc(0);
  }

  #decode(file: LaneFile): ReturnType<typeof decodeFrame> {
    const decoded = decodeFrame(this.#buffer, this.#offset);
    if (decoded !== 'partial') return decoded;
    const position = this.#base + this.#offset;
    if (position >= file.bytes) return 'partial';
    const wanted = Math.max(CHUNK_BYTES, frameLength(this.#buffer, this.#offset) ?? 0);
    const bytes = Buffer.allocUnsafe(Math.min(wanted, file.bytes - position));
    const fd = openSync(file.path, 'r');
    try {
      const read = readSync(fd, bytes, 0, bytes.length, position);
      this.#buffer = bytes.subarray(0, read);
    } finally {
      closeSync(fd);
    }
    this.#base = position;
    this.#offset = 0;
    const again = decodeFrame(this.#buffer, 0);
    const needed = frameLength(this.#buffer, 0);
    // A frame longer than a chunk: its header is known now, read on once more.
    if (again === 'partial' && needed !== undefined && needed > this.#buffer.length && position + needed <= file.bytes) return this.#decode(file);
    return again;
  }
}
