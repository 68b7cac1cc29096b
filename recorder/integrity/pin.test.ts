/** When `SegmentChains.pin` has ended, the signed manifest on the disk says all that was changed before, whatever was being written then. */
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FakeClock } from '../../core/testing-clock.ts';
import { silentLogger } from '../../platform/logging.ts';
import { SigningKey } from '../../platform/signing-key.ts';
import type { SegmentRecord } from '../port.ts';
import { CHAIN_FILE, parseChainManifest } from './chain-manifest.ts';
import { SegmentChains } from './segment-chains.ts';

/** Chains in a folder of their own, whose signatures come when told to. */
class HeldChains implements AsyncDisposable {
  readonly clock: FakeClock;
  readonly chains: SegmentChains;
  /** Of the signatures asked for that have not been given, in order. */
  readonly waiting: (() => void)[] = [];
  readonly #folder: string;
  readonly #key: SigningKey;

  private constructor(folder: string, key: SigningKey, clock: FakeClock, chains: SegmentChains) {
    this.#folder = folder;
    this.#key = key;
    this.clock = clock;
    this.chains = chains;
    const sign = key.signJws.bind(key);
    key.signJws = async (payload, type) => {
      const signed = await sign(payload, type); // of what is so now, not when it is let go
      await new Promise<void>((go) => { this.waiting.push(go); });
      return signed;
    };
  }

  static async create(): Promise<HeldChains> {
    const folder = await mkdtemp(join(tmpdir(), 'imageflow-pin-'));
    const key = await SigningKey.open(join(folder, 'signing.pem'));
    const clock = new FakeClock();
    const chains = await SegmentChains.open(folder, { key, clock, logger: silentLogger() });
    return new HeldChains(folder, key, clock, chains);
  }

  record(id: string): SegmentRecord {
    const segment: SegmentRecord = {
      id, camera: 'cam', sessionId: 's', epoch: 1, start: 0, duration: 1, bytes: 1, sha256: createHash('sha256').update(id).digest('hex'), open: false, tracks: [], gapBefore: null, chain: this.chains.begin('cam', id),
    };
    this.chains.closed(segment);
    return segment;
  }

  /** The next signature is waited for, and given. */
  async sign(): Promise<void> {
    await this.asked();
    this.waiting.shift()?.();
  }

  async asked(): Promise<void> {
    await expect.poll(() => this.waiting.length).toBeGreaterThan(0);
  }

  /** The positions that are to be there, by what is signed on the disk. */
  async pinned(): Promise<(readonly [number, number])[]> {
    const { cameras } = await parseChainManifest(await readFile(join(this.#folder, CHAIN_FILE), 'utf8'), this.#key.public);
    return (cameras['cam']?.runs ?? []).map(({ first, last }) => [first, last] as const);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}

test('[REC-10] what expires while an older state is being signed is signed, too, before its file may go', async () => {
  await using held = await HeldChains.create();
  const [first] = [held.record('cam/1'), held.record('cam/2'), held.record('cam/3')];
  const older = held.chains.pin();
  await held.asked();
  held.chains.expired(first);
  const events: string[] = [];
  const pinned = held.chains.pin().then(async () => { events.push(`ended, with ${JSON.stringify(await held.pinned())} on the disk`); });
  await held.sign();
  await older;
  expect(await held.pinned()).toEqual([[1, 3]]); // that is the older state
  const again = held.sign().then(() => { events.push('signed anew'); });
  await pinned;
  expect(events).toEqual(['signed anew', 'ended, with [[2,3]] on the disk']);
  await again;
});

test('[REC-10] several who wait together are answered by one more signature, and with nothing changed there is none', async () => {
  await using held = await HeldChains.create();
  const segments = [held.record('cam/1'), held.record('cam/2'), held.record('cam/3')];
  const older = held.chains.pin();
  await held.asked();
  const pins = segments.slice(0, 2).map((segment) => { held.chains.expired(segment); return held.chains.pin(); });
  await held.sign();
  await held.sign();
  await Promise.all([older, ...pins]);
  expect(await held.pinned()).toEqual([[3, 3]]);
  await held.chains.pin();
  expect([held.waiting.length, held.clock.waiting]).toEqual([0, []]);
});

test('[REC-10] a disk that hangs is waited for two seconds, and what it was to say is said when it goes on', async () => {
  await using held = await HeldChains.create();
  const segment = held.record('cam/1');
  const older = held.chains.pin();
  await held.asked();
  held.record('cam/2');
  held.chains.expired(segment);
  const pinned = held.chains.pin();
  held.clock.advance(2_000);
  await Promise.all([older, pinned]);
  expect(held.waiting).toHaveLength(1);
  await held.sign();
  await held.sign();
  await expect.poll(() => held.pinned()).toEqual([[2, 2]]);
});
