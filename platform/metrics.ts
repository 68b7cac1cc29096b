import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import { EVENT_LOOP_LOOK_MS } from './event-loop-delay.ts';

/** Every metric of contract 0.6, in one place. One instance per process, made by its composition root. */
export const createMetrics = (process: string) => {
  const registry = new Registry();
  registry.setDefaultLabels({ process });
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: EVENT_LOOP_LOOK_MS });
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[]) => new Counter<L>({ name, help, labelNames, registers });
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[]) => new Gauge<L>({ name, help, labelNames, registers });
  let raisedAlarms = (): Promise<ReadonlyMap<string, number>> => Promise.resolve(new Map());
  return {
    registry,
    sessions: gauge('imageflow_sessions', 'Camera sessions by state.', ['state']),
    ingestBytes: counter('imageflow_ingest_bytes_total', 'Media bytes received.', ['camera', 'protocol']),
    ingestLostPackets: counter('imageflow_ingest_lost_packets_total', 'Packets lost by the network and not recovered.', ['camera']),
    ingestRefused: counter('imageflow_ingest_refused_total', 'Packets and units that came and could not be used, by reason.', ['camera', 'reason']),
    branchDropped: counter('imageflow_branch_dropped_total', 'Units a consumer did not get.', ['camera', 'branch', 'reason']),
    viewers: gauge('imageflow_viewers', 'Viewers now.', ['camera', 'protocol']),
    forwardAdded: new Histogram({ name: 'imageflow_forward_added_seconds', help: 'Last packet in to first viewer packet out.', buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5], registers }),
    recorderLag: gauge('imageflow_recorder_lag_seconds', 'Age of the oldest part not yet written.', ['camera']),
    recordedBytes: counter('imageflow_recorded_bytes_total', 'Bytes written to recordings.', ['camera']),
    accessUnits: counter('imageflow_access_units_total', 'Video access units received.', ['camera']),
    decodedFrames: counter('imageflow_decoded_frames_total', 'Pictures decoded.', ['camera']),
    analysisDecodedFrames: counter('imageflow_analysis_decoded_frames_total', 'Pictures of recordings decoded for analyses.', ['camera']),
    decodersActive: gauge('imageflow_decoders_active', 'Decoders running (at most 1).', ['camera']),
    hardwareFailures: counter('imageflow_hardware_failures_total', 'Times a device failed for a camera, which was then decoded, or its annotated video encoded, in software.', ['camera', 'device']),
    inferenceSeconds: new Histogram({ name: 'imageflow_inference_seconds', help: 'Time of a picture in inference.', labelNames: ['model', 'stage'] as const, buckets: [0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1], registers }),
    framesSkipped: counter('imageflow_frames_skipped_total', 'Pictures not inferred, by reason.', ['camera', 'reason']),
    qosLevel: gauge('imageflow_qos_level', 'Steps by which a camera\'s detectors are lowered, in rate and then in their models, for want of capacity (0: not at all).', ['camera']),
    qosFps: gauge('imageflow_qos_fps', 'Pictures a second that the fastest detector of a camera may see now.', ['camera']),
    qosModel: gauge('imageflow_qos_model', 'The model that a camera\'s detector runs on now (1): its own, or under overload a lighter one.', ['camera', 'detector', 'model']),
    qosChanges: counter('imageflow_qos_changes_total', 'Changes of the rate or the models of a camera\'s detectors, by cause.', ['camera', 'cause']),
    qosHeight: gauge('imageflow_qos_height', 'Lines of the largest pictures, or video with boxes burned in, that a camera is shown with all the time.', ['camera']),
    qosHeightChanges: counter('imageflow_qos_height_changes_total', 'Changes of the height a camera is shown at, by cause.', ['camera', 'cause']),
    ruleFindings: counter('imageflow_rule_findings_total', 'What rules of a camera\'s scene said: began, ended, happened.', ['camera', 'rule', 'phase']),
    ruleFindingsDropped: counter('imageflow_rule_findings_dropped_total', 'What rules of a camera\'s scene said beyond what is told in a minute, and was told to nobody.', ['camera']),
    codesSeen: counter('imageflow_codes_seen_total', 'QR and bar codes that came into a camera\'s picture and were told, by kind.', ['camera', 'format']),
    codesHeldBack: counter('imageflow_codes_held_back_total', 'Codes that came when enough was told of the camera in that minute: told in the next one, if still there.', ['camera']),
    codePictures: counter('imageflow_code_pictures_total', 'Pictures in which codes were looked for.', ['camera']),
    codePicturesSkipped: counter('imageflow_code_pictures_skipped_total', 'Pictures in which codes were not looked for, by reason.', ['camera', 'reason']),
    workerConnections: gauge('imageflow_worker_connections', 'Extractor processes that an AI worker has granted credit (0: it is lost).', ['worker']),
    workerResults: counter('imageflow_worker_results_total', 'Pictures that an AI worker has answered with a result.', ['worker']),
    workerAnswerSeconds: gauge('imageflow_worker_answer_seconds', 'How long an AI worker takes for a picture, by its last answers; 0 when it has not been asked for a while.', ['worker']),
    /** These two are counted by the worker. */
    runPictures: new Histogram({ name: 'imageflow_inference_run_pictures', help: 'Pictures of cameras that this machine\'s AI worker has put together in one run of a model.', labelNames: ['model'] as const, buckets: [1, 2, 4, 8, 16, 32], registers }),
    kserveCalls: counter('imageflow_kserve_calls_total', 'Calls of KServe clients (ModelInfer) that this machine\'s AI worker has answered or refused, by result.', ['result']),
    encodedPictures: counter('imageflow_encoded_pictures_total', 'Pictures of live cameras encoded for viewers, once for all who want the same.', ['camera', 'format']),
    videoStreams: gauge('imageflow_video_streams', 'Calls of `CameraStreamProcessor.ProcessVideoStream` now.', []),
    streamedFrames: counter('imageflow_streamed_frames_total', 'Frames that clients have sent by `ProcessVideoStream`, by what came of them: `seen`, or why not.', ['result']),
    streamedFrameSeconds: new Histogram({ name: 'imageflow_streamed_frame_seconds', help: 'Time of such a frame, by stage; `total` is from its receipt until its answer.', labelNames: ['stage'] as const, buckets: [0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1], registers }),
    annotatedEncoders: gauge('imageflow_annotated_encoders_active', 'Encoders of live video with boxes burned in (at most 1).', ['camera']),
    annotatedFrames: counter('imageflow_annotated_frames_total', 'Pictures of live video encoded with boxes burned in.', ['camera']),
    httpRequestSeconds: new Histogram({ name: 'imageflow_http_request_seconds', help: 'HTTP requests.', labelNames: ['route', 'status'] as const, buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5], registers }),
    eventLoopDelay: gauge('imageflow_event_loop_delay_seconds', 'Event loop delay, p99 of the last 5 s.', ['process']),
    archiveWaitingSegments: gauge('imageflow_archive_waiting_segments', 'Recorded segments that wait for the archive.', []),
    archiveWaitingBytes: gauge('imageflow_archive_waiting_bytes', 'Bytes of these.', []),
    archivedSegments: counter('imageflow_archived_segments_total', 'Segments the archive has acknowledged.', []),
    archivedBytes: counter('imageflow_archived_bytes_total', 'Bytes of these.', []),
    archivedFrames: counter('imageflow_archived_frames_total', 'Single pictures the archive has acknowledged.', ['camera']),
    droppedFrames: counter('imageflow_archived_frames_dropped_total', 'Pictures chosen for the archive that did not get there, by reason.', ['camera', 'reason']),
    archiveFailures: counter('imageflow_archive_failures_total', 'Attempts to archive a segment that failed, by reason.', ['reason']),
    archiveDeleted: counter('imageflow_archive_deleted_total', 'Archived segments no mark wants any more, by what came of deleting them.', ['result']),
    journalDropped: counter('imageflow_journal_dropped_total', 'Events given up because the journal was full.', ['type']),
    webhookDeliveries: counter('imageflow_webhook_deliveries_total', 'Attempts to send an event to a webhook: delivered, failed (it is sent again), refused; given_up after three refusals; missed, deleted before they could be sent.', ['webhook', 'topic', 'result']),
    eventsDropped: counter('imageflow_events_dropped_total', 'Events of searches and playbacks that were not told, by reason.', ['topic', 'reason']),
    sockets: gauge('imageflow_websockets', 'Clients of `/v1/ws` now.', []),
    alarms: new Gauge({
      name: 'imageflow_alarms', help: 'Alarms raised now.', labelNames: ['code'] as const, registers,
      async collect() {
        const counts = await raisedAlarms();
        this.reset();
        for (const [code, n] of counts) this.set({ code }, n);
      },
    }),
    /** `count` is asked at each scrape: the alarms raised, by code. It must not reject. */
    countAlarms: (count: () => Promise<ReadonlyMap<string, number>>): void => { raisedAlarms = count; },
  };
};
export type Metrics = ReturnType<typeof createMetrics>;
