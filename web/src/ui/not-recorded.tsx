import type { Camera } from '../api.ts';
import { isRecordingOn } from '../recordings/policy-words.ts';

/** Says why a live camera is not being recorded; nothing when it is, or when nothing comes from it. */
export const NotRecorded = (props: { camera: Camera }) => {
  const { recording, stats } = props.camera;
  if (!stats?.video_codec) return null;
  if (!isRecordingOn(recording)) return <p class="note">Not recorded: recording is off for this camera.</p>;
  if (stats.video_codec !== 'vp8') return null;
  return (
    <p class="note" data-note="vp8">
      <strong>Not recorded yet: this camera sends VP8</strong>, which players do not take in a recording. Live video and detection go on.
      Let it send H.264, and it is recorded from then on.
    </p>
  );
};
