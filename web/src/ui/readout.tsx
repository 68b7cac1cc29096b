import type { LiveReadout } from '../live/live-player.ts';

const DASH = '–';

/** End-to-end latency, rate and health of what is being watched. */
export const Readout = (props: { values: LiveReadout | null; transport: string | null }) => {
  const { values } = props;
  const items: [string, string, string][] = [
    ['Latency', values?.latencyMs == null ? DASH : `${Math.round(values.latencyMs)} ms`, 'From the picture’s arrival at the server to this screen'],
    ['Frames', values?.fps == null ? DASH : `${values.fps.toFixed(0)} fps`, 'Frames shown a second'],
    ['Bitrate', values?.bitrateBps == null ? DASH : `${(values.bitrateBps / 1e6).toFixed(1)} Mbit/s`, 'Video received'],
    ['Loss', values?.lossPercent == null ? DASH : `${values.lossPercent.toFixed(1)} %`, 'Packets lost on the way here'],
    ['Inference', values?.inferenceMs == null ? DASH : `${values.inferenceMs.toFixed(0)} ms`, 'Time in the detector'],
    ['Boxes', values?.boxesMs == null ? DASH : `${values.boxesMs.toFixed(0)} ms`, 'From the picture’s arrival at the server to its boxes here'],
    ['Picture', values?.width ? `${values.width}×${values.height}` : DASH, 'Encoded size'],
    ['By', props.transport === 'hls' ? 'LL-HLS' : props.transport === 'webrtc' ? 'WebRTC' : DASH, 'How the video comes'],
  ];
  return (
    <dl class="readout">
      {items.map(([name, value, title]) => <div key={name} title={title}><dt>{name}</dt><dd>{value}</dd></div>)}
    </dl>
  );
};
