/** A disk that hangs, for tests. */
import { open, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

export interface HangingDisk extends Disposable {
  /** How many writes were asked for meanwhile. */
  readonly asked: number;
  /** Lets them go on, and those to come. */
  answer(): void;
  refuse(error: Error): void;
}

/** Holds every vectored write of the process until told to go on. `directory`: any that can be written to. */
export const hangingWrites = async (directory: string): Promise<HangingDisk> => {
  const probe = await open(join(directory, 'probe'), 'w');
  const prototype = Object.getPrototypeOf(probe) as Pick<FileHandle, 'writev'>;
  await probe.close();
  await rm(join(directory, 'probe'));
  const { writev } = prototype;
  const gate = Promise.withResolvers<undefined>();
  let asked = 0;
  prototype.writev = async function (this: FileHandle, ...args: Parameters<FileHandle['writev']>) {
    asked++;
    await gate.promise;
    return await writev.apply(this, args);
  } as FileHandle['writev'];
  return {
    get asked() { return asked; },
    answer: () => { gate.resolve(undefined); },
    refuse: gate.reject,
    [Symbol.dispose]: () => { prototype.writev = writev; },
  };
};
