/** Makes the edge's modules follow the desired state: which cameras there are, their sources and policies. */
import type { Clock } from '../core/clock.ts';
import type { CameraId } from '../core/frame-ref.ts';
import type { FileSources } from '../ingest/file/file-sources.ts';
import type { EdgeStreamRegistry } from '../ingest/stream-registry.ts';
import type { DesiredStateStore } from '../media-control/desired-state-store.ts';
import { KeptRanges } from '../recorder/kept-ranges.ts';
import { isWithinHours } from '../recorder/recording-hours.ts';
import type { Recorder, RecorderDeps } from '../recorder/recorder.ts';

export interface EdgeCamerasOptions {
  readonly store: DesiredStateStore;
  readonly registry: EdgeStreamRegistry;
  readonly files: FileSources;
  readonly recorder: Recorder;
}

/** Applies the state there is and every later one. Disposing stops following. */
export const followDesiredState = ({ store, registry, files, recorder }: EdgeCamerasOptions): Disposable => {
  const apply = (): void => {
    const wanted = new Set<CameraId>(store.cameras().map((camera) => camera.id));
    for (const { camera } of registry.list()) {
      if (wanted.has(camera)) continue;
      files.remove(camera);
      registry.remove(camera);
    }
    for (const camera of store.cameras()) {
      registry.add(camera);
      recorder.refresh(camera.id);
      files.apply(camera);
    }
  };
  apply();
  return store.onChange(apply);
};

/** What the desired state says of recording, as the recorder asks for it. */
export const recordingAsDesired = (store: DesiredStateStore, clock: Clock): Pick<RecorderDeps, 'policyOf' | 'windowOf' | 'kept' | 'confirmedHold'> => {
  let told: typeof store.kept;
  let ranges: KeptRanges | undefined;
  return {
    policyOf: (camera) => {
      const spec = store.camera(camera);
      return spec?.recording === 'always' && isWithinHours(spec.hours, clock.now()) ? 'always' : 'off';
    },
    windowOf: (camera) => store.camera(camera)?.window,
    kept: () => {
      if (store.kept !== told) ranges = store.kept && new KeptRanges(told = store.kept);
      return ranges;
    },
    confirmedHold: () => store.confirmedHold,
  };
};
