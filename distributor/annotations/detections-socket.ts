/** WebSocket `/v1/cameras/{camera}/detections/live`: one message per inferred picture (contract 0.4). */
import type { CameraId } from '../../core/frame-ref.ts';
import type { DetectionSource } from '../../extractor/port.ts';
import { ViewerSockets } from '../sockets/viewer-sockets.ts';
import type { ViewerSocketDeps } from '../sockets/viewer-sockets.ts';
import { DetectionsFanout } from './detections-fanout.ts';

export interface DetectionsSocketOptions extends ViewerSocketDeps {
  readonly detections: DetectionSource;
}

const MAX_BUFFERED_BYTES = 1 << 20;

/** Serves the sockets. Disposing closes them (1001). */
export class DetectionsSocket implements Disposable {
  readonly #sockets: ViewerSockets<null>;

  constructor(options: DetectionsSocketOptions) {
    const { metrics } = options;
    const fanout = new DetectionsFanout(options.detections);
    this.#sockets = new ViewerSockets({
      ...options, path: '/v1/cameras/:camera/detections/live', protocol: 'websocket', wish: () => null,
      serve: (socket, camera) => fanout.subscribe(camera, (message) => {
        if (socket.readyState !== socket.OPEN) return;
        if (socket.bufferedAmount > MAX_BUFFERED_BYTES) metrics.branchDropped.inc({ camera, branch: 'detections-live', reason: 'slow_socket' });
        else socket.send(message);
      }),
    });
  }

  /** Sockets of a camera that are receiving. */
  viewers(camera: CameraId): number {
    return this.#sockets.viewers(camera);
  }

  [Symbol.dispose](): void {
    this.#sockets[Symbol.dispose]();
  }
}
