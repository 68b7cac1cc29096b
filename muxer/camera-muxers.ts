import type { CameraId } from '../core/frame-ref.ts';
import type { StreamRegistry, WatchedStream } from '../ingest/port.ts';
import { CameraMuxer } from './camera-muxer.ts';
import type { CameraMuxerOptions } from './camera-muxer.ts';
import type { PartStream, PartStreams } from './port.ts';

/** A `CameraMuxer` for every stream of the registry, for as long as the stream is there. */
export class CameraMuxers implements PartStreams, Disposable {
  readonly #muxers = new Map<CameraId, CameraMuxer>();
  readonly #options: CameraMuxerOptions;
  readonly #resources = new DisposableStack();
  #added: readonly ((stream: PartStream) => void)[] = [];
  #removed: readonly ((camera: CameraId) => void)[] = [];

  /** Attaches to every stream there is and each that comes. */
  constructor(registry: StreamRegistry<WatchedStream>, options: CameraMuxerOptions) {
    this.#options = options;
    this.#resources.use(registry.onStream((stream) => { this.#add(stream); }));
    this.#resources.use(registry.onRemoved((camera) => { this.#remove(camera); }));
  }

  get(camera: CameraId): PartStream | undefined {
    return this.#muxers.get(camera);
  }

  list(): readonly PartStream[] {
    return [...this.#muxers.values()];
  }

  onStream(listener: (stream: PartStream) => void): Disposable {
    this.#added = [...this.#added, listener];
    for (const muxer of this.#muxers.values()) listener(muxer);
    return { [Symbol.dispose]: () => { this.#added = this.#added.filter((l) => l !== listener); } };
  }

  onRemoved(listener: (camera: CameraId) => void): Disposable {
    this.#removed = [...this.#removed, listener];
    return { [Symbol.dispose]: () => { this.#removed = this.#removed.filter((l) => l !== listener); } };
  }

  /** Ends every muxer: consumers drain what is pending and finish. */
  [Symbol.dispose](): void {
    this.#resources.dispose();
    for (const muxer of this.#muxers.values()) muxer.end();
    this.#muxers.clear();
  }

  #add(stream: WatchedStream): void {
    this.#muxers.get(stream.camera)?.end(); // a camera removed and made again within one turn
    const muxer = new CameraMuxer(stream, this.#options);
    this.#muxers.set(stream.camera, muxer);
    for (const listener of this.#added) listener(muxer);
  }

  #remove(camera: CameraId): void {
    const muxer = this.#muxers.get(camera);
    if (!muxer) return;
    this.#muxers.delete(camera);
    muxer.end();
    for (const listener of this.#removed) listener(camera);
  }
}
