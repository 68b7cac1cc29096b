import type { Clock } from '../core/clock.ts';
import type { CameraId } from '../core/frame-ref.ts';
import type { Milliseconds } from '../core/units.ts';
import type { WorkerAddress } from '../inference/port.ts';
import type { StreamRegistry } from '../ingest/port.ts';
import type { CameraSpec, EventJournal } from '../media-control/port.ts';
import type { Logger } from '../platform/logging.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Extractor, ExtractorProcessOptions } from './extractor-process.ts';
import type { HardwareDevices } from './hardware/hardware-devices.ts';

export interface ExtractorPoolOptions {
  /** `extractor.processes`. */
  readonly processes: number;
  /** `extractor.idle_seconds`. */
  readonly idleSeconds: number;
  /** `extractor.annotated_streams`. */
  readonly annotatedStreams: number;
  /** `inference.deadline_ms`. */
  readonly deadlineMs: Milliseconds;
  /** The workers, in order of preference; asked at each start of a process, and at each change of what is configured. */
  readonly workers: () => readonly WorkerAddress[];
  /** What this machine decodes on. */
  readonly hardware: Pick<HardwareDevices, 'message' | 'none' | 'onChange' | 'onCrash'>;
  /** `log.level`, for the children. */
  readonly logLevel: string;
  readonly registry: StreamRegistry;
  /** What is configured for a camera now. */
  readonly specs: (camera: CameraId) => CameraSpec | undefined;
  /** Told when any camera's configuration, or the list of workers, has changed. */
  readonly onSpecsChanged: (listener: () => void) => Disposable;
  readonly journal: EventJournal;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** For tests; default: a real child process. */
  readonly spawn?: (options: ExtractorProcessOptions) => Extractor;
  /** For tests; default: this machine's. */
  readonly cpu?: () => number;
}
