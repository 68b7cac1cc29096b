/** What retention makes of a server's recordings: everything that was ever on its disk, against what is there and listed in the end. */
import { endOf, idsOnDisk, segmentsOf, startOf } from './recordings.ts';
import type { Segment } from './recordings.ts';
import type { TestServer } from './server.ts';

export interface Fates {
  /** Segments whose files were on disk and are no more. */
  readonly deleted: readonly string[];
  /** Of these, such as are listed no more: nobody can see them again. */
  readonly gone: readonly string[];
  /** Segments that reach into a linked range, by what is listed of them now. */
  readonly linked: readonly Segment[];
  /** Those that should be among them and are listed no more. */
  readonly linkedGone: readonly string[];
}

export class RetentionWitness {
  readonly #server: () => TestServer;
  readonly #cameras: readonly string[];
  readonly #seen = new Set<string>();
  #noted: readonly string[] = [];
  readonly #segments = new Map<string, Segment>();
  readonly #links: { readonly from: number; readonly to: number }[] = [];

  /** Of these cameras. `server`: the one that runs now. */
  constructor(server: () => TestServer, cameras: readonly string[]) {
    this.#server = server;
    this.#cameras = cameras;
  }

  /** Links what every camera recorded in a range (Unix ms) to a work order. */
  async link(from: number, to: number): Promise<void> {
    const server = this.#server();
    const range = { from: new Date(from).toISOString(), to: new Date(to).toISOString() };
    for (const camera of this.#cameras) await server.request('POST', `/v1/recordings/${camera}/marks`, { kind: 'link', ...range, work_order_id: `WO-${String(from)}` });
    this.#links.push({ from, to });
  }

  /** Whether a file that was there at the last note is there no more. */
  async deletes(): Promise<boolean> {
    const now = new Set(await this.#idsOnDisk());
    return [...this.#noted].some((id) => !now.has(id));
  }

  /** Notes what is there now. */
  async note(): Promise<void> {
    this.#noted = await this.#idsOnDisk();
    for (const id of this.#noted) this.#seen.add(id);
    for (const segment of await this.#listed()) this.#segments.set(segment.id, segment);
  }

  /** What has become of everything noted. */
  async fates(): Promise<Fates> {
    const onDisk = new Set(await this.#idsOnDisk());
    const listed = new Map((await this.#listed()).map((segment) => [segment.id, segment]));
    const isLinked = (segment: Segment): boolean => this.#links.some(({ from, to }) => startOf(segment) < to && endOf(segment) > from);
    const wanted = [...this.#segments.values()].filter(isLinked).map(({ id }) => id);
    const deleted = [...this.#seen].filter((id) => !onDisk.has(id));
    return {
      deleted, gone: deleted.filter((id) => !listed.has(id)),
      linked: [...listed.values()].filter(isLinked), linkedGone: wanted.filter((id) => !listed.has(id)),
    };
  }

  async #idsOnDisk(): Promise<string[]> {
    return (await Promise.all(this.#cameras.map((camera) => idsOnDisk(this.#server().dataDir, camera)))).flat();
  }

  async #listed(): Promise<Segment[]> {
    return (await Promise.all(this.#cameras.map((camera) => segmentsOf(this.#server(), camera)))).flat();
  }
}
