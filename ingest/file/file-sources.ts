import type { Clock } from '../../core/clock.ts';
import type { CameraId } from '../../core/frame-ref.ts';
import type { CameraSpec } from '../../media-control/port.ts';
import type { Logger } from '../../platform/logging.ts';
import type { StreamRegistry } from '../port.ts';
import { FileSource } from './file-source.ts';

export interface FileSourcesOptions {
  readonly streams: StreamRegistry;
  /** `sources.file_dir`. */
  readonly directory: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** A source stopped working (why), or works again (null): becomes the alarm `file_source` of the camera. */
  readonly onProblem: (camera: CameraId, problem: string | null) => void;
}

/** The `file` sources of all cameras, kept as the control plane wants them. Disposing stops them all. */
export class FileSources implements Disposable {
  readonly #options: FileSourcesOptions;
  readonly #sources = new Map<CameraId, FileSource>();
  readonly #troubled = new Set<CameraId>();

  constructor(options: FileSourcesOptions) {
    this.#options = options;
  }

  /** Starts, restarts or stops the camera's source as `spec` says. Call it after the camera was added to the registry. */
  apply(spec: Pick<CameraSpec, 'id' | 'source'>): void {
    const { source, id } = spec;
    const running = this.#sources.get(id);
    if (source.type === 'file' && running?.url === source.url) return;
    this.remove(id);
    const stream = this.#options.streams.get(id);
    if (source.type !== 'file' || !stream) return;
    const { directory, clock, logger } = this.#options;
    this.#sources.set(id, new FileSource({ stream, url: source.url, directory, clock, logger, onProblem: (problem) => { this.#report(id, problem); } }));
  }

  /** Stops the camera's source, if it has one. Call it before the camera is removed from the registry. */
  remove(camera: CameraId): void {
    this.#sources.get(camera)?.[Symbol.dispose]();
    this.#sources.delete(camera);
    this.#report(camera, null);
  }

  [Symbol.dispose](): void {
    for (const camera of [...this.#sources.keys()]) this.remove(camera);
  }

  #report(camera: CameraId, problem: string | null): void {
    if (problem === null && !this.#troubled.delete(camera)) return;
    if (problem !== null) this.#troubled.add(camera);
    this.#options.onProblem(camera, problem);
  }
}
