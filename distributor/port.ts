/** distributor/: Hub → viewers. */
import type { CameraId } from '../core/frame-ref.ts';

export type ViewerProtocol = 'webrtc' | 'hls' | 'websocket';

export interface ViewerCounter {
  viewers(camera: CameraId): Readonly<Record<ViewerProtocol, number>>;
}
