import { MediaError } from '../core/errors.ts';
import type { CameraId } from '../core/frame-ref.ts';
import type { CameraQos, DetectionSource, DetectorFigures, LastCode, ShownHeight } from '../extractor/port.ts';
import type { SessionInfo, SessionStats, StreamRegistry } from '../ingest/port.ts';
import type { Authorizer } from '../media-control/port.ts';
import type { MediaRouter } from '../transport/http/port.ts';

export interface EdgeStatsOptions {
  readonly router: MediaRouter;
  readonly authorizer: Authorizer;
  readonly registry: StreamRegistry;
  readonly detections: DetectionSource;
  readonly viewers: (camera: CameraId) => Readonly<Record<string, number>>;
}

/** `GET /v1/edge/cameras/{camera}/stats`: what control passes through as a camera's statistics (ING-7). */
export const serveEdgeStats = ({ router, authorizer, registry, detections, viewers }: EdgeStatsOptions): void => {
  router.route('GET', '/v1/edge/cameras/:camera/stats', async ({ params, credential, response }) => {
    const camera = params['camera'] ?? '';
    await authorizer.authorize(credential, 'play', camera);
    const stream = registry.get(camera);
    if (!stream) throw new MediaError('NOT_FOUND', 'There is no such camera.', { context: { camera } });
    const stats = stream.stats();
    if (!stream.session || !stats) throw new MediaError('NOT_FOUND', 'The camera has no session now.', { reason: 'NO_SESSION', context: { camera } });
    const extractor = detections.stats(camera);
    const body = JSON.stringify({
      camera,
      session: sessionView(stream.session),
      ...statsView(stats),
      viewers: viewers(camera),
      last_code: extractor?.lastCode ? codeView(extractor.lastCode) : null,
      detection: extractor && {
        decoders_active: extractor.decodersActive, decoder: extractor.decoder, decoded_frames: extractor.decodedFrames, inferred_frames: extractor.inferredFrames, skipped: extractor.skipped,
        qos: extractor.qos && qosView(extractor.qos),
        shown: extractor.shown && shownView(extractor.shown),
        detectors: Object.entries(extractor.detectors).map(([id, figures]) => detectorView(id, figures)),
      },
    });
    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
    response.end(body);
  });
};

const qosView = ({ preset, priority, fps, fullFps, level, models, since, cause }: CameraQos) => ({
  preset, priority, fps, full_fps: fullFps, level, models: models.map(({ detector, model, full, light }) => ({ detector, model, full_model: full, light })), since: since === null ? null : new Date(since).toISOString(), cause,
});

const shownView = ({ height, fullHeight, since, cause }: ShownHeight) => ({ height, full_height: fullHeight, since: since === null ? null : new Date(since).toISOString(), cause });
const codeView = ({ format, text, at }: LastCode) => ({ format, text, at: new Date(at).toISOString() });

const tenths = (value: number): number => Math.round(value * 10) / 10;

const detectorView = (id: string, { model, fps, queueMs, waitMs, modelMs, totalMs }: DetectorFigures) => ({
  id, model, fps: tenths(fps), queue_ms: tenths(queueMs), wait_ms: tenths(waitMs), model_ms: tenths(modelMs), total_ms: tenths(totalMs),
});

const sessionView = (session: SessionInfo) => ({
  id: session.id, phase: session.phase, protocol: session.protocol, epoch: session.epoch, started_at: new Date(session.startedAt).toISOString(), reason: session.reason,
});

const statsView = (stats: SessionStats) => ({
  bytes: stats.bytes, packets: stats.packets, lost_packets: stats.lostPackets, access_units: stats.accessUnits, bitrate_bps: stats.bitrateBps, fps: stats.fps,
  jitter_ms: stats.jitterMs, rtt_ms: stats.rttMs, nacks_sent: stats.nacksSent, plis_sent: stats.plisSent, keyframe_interval_ms: stats.keyframeIntervalMs,
  video_codec: stats.videoCodec, audio_codec: stats.audioCodec, width: stats.width, height: stats.height,
});
