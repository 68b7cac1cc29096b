/** Password hashes by scrypt (RFC 7914), with their parameters beside them so that they can be raised later. */
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { MediaError } from '../../core/errors.ts';

interface Cost {
  readonly N: number;
  readonly r: number;
  readonly p: number;
}

/** 32 MiB and about 100 ms of one core a time. */
export const DEFAULT_COST: Cost = { N: 2 ** 15, r: 8, p: 1 };
const KEY_BYTES = 32;
const FORMAT = /^scrypt\$N=(\d{1,8}),r=(\d{1,3}),p=(\d{1,3})\$([\w-]+)\$([\w-]+)$/;

const derive = (password: string, salt: Buffer, cost: Cost, bytes: number): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    scrypt(password.normalize('NFKC'), salt, bytes, { ...cost, maxmem: 256 * cost.N * cost.r }, (error, key) => {
      if (error) reject(error);
      else resolve(key);
    });
  });

/** Hashes and checks passwords, few at a time: each costs 32 MiB, and log-ins come from strangers. */
export class Passwords {
  readonly #cost: Cost;
  readonly #maxRunning: number;
  readonly #maxWaiting: number;
  #running = 0;
  readonly #waiting: (() => void)[] = [];
  #decoy: Promise<string> | undefined;

  constructor(options: { readonly cost?: Cost; readonly maxRunning?: number; readonly maxWaiting?: number } = {}) {
    this.#cost = options.cost ?? DEFAULT_COST;
    this.#maxRunning = options.maxRunning ?? 2;
    this.#maxWaiting = options.maxWaiting ?? 64;
  }

  /** The text to store. Throws UNAVAILABLE when too many wait. */
  async hash(password: string): Promise<string> {
    const salt = randomBytes(16);
    const key = await this.#limited(() => derive(password, salt, this.#cost, KEY_BYTES));
    return `scrypt$N=${String(this.#cost.N)},r=${String(this.#cost.r)},p=${String(this.#cost.p)}$${salt.toString('base64url')}$${key.toString('base64url')}`;
  }

  /** Whether `password` is the one of `stored`. Null (there is no such user) takes as long as a wrong password. */
  async verify(password: string, stored: string | null): Promise<boolean> {
    this.#decoy ??= this.hash(randomBytes(16).toString('hex'));
    const parts = FORMAT.exec(stored ?? (await this.#decoy));
    if (parts === null) throw new Error('a stored password hash has an unknown format');
    const [, n, r, p, salt, expected] = parts as unknown as [string, string, string, string, string, string];
    const wanted = Buffer.from(expected, 'base64url');
    const key = await this.#limited(() => derive(password, Buffer.from(salt, 'base64url'), { N: Number(n), r: Number(r), p: Number(p) }, wanted.byteLength));
    return timingSafeEqual(key, wanted) && stored !== null;
  }

  async #limited<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#maxRunning) {
      if (this.#waiting.length >= this.#maxWaiting) throw new MediaError('UNAVAILABLE', 'Too many log-ins at a time.', { retryAfterSeconds: 2 });
      await new Promise<void>((resolve) => { this.#waiting.push(resolve); });
    } else this.#running++;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running--;
    }
  }
}
