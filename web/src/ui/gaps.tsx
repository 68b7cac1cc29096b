import type { Gap } from '../recordings/api.ts';

const SHOWN = 5;
const WORDS: Readonly<Record<string, string>> = {
  publisher_lost: 'the connection to the camera was lost',
  publisher_left: 'the camera had stopped sending',
  network_loss: 'pictures did not arrive',
  codec_not_recorded: 'the camera sent VP8, which is not recorded',
  disk: 'the disk could not be written',
  restart: 'the server was restarted',
  recording_off: 'recording was switched off',
  clock_set: 'the clock of the server was set forward',
};

/** That something is missing and why, where somebody knows. */
export const lossOf = ({ cause }: Gap): string => {
  const words = cause === null ? undefined : WORDS[cause];
  return `${cause === 'clock_set' ? 'skipped' : 'missing'}${words === undefined ? '' : `: ${words}`}`;
};

/** What is missing in a window of recordings and why, newest first. */
export const Gaps = (props: { gaps: readonly Gap[]; moment: (at: number) => string; amount: (seconds: number) => string }) => {
  const { gaps, moment, amount } = props;
  if (gaps.length === 0) return null;
  const more = gaps.length - SHOWN;
  return (
    <section class="gaps muted" aria-label="What is missing">
      <ul>
        {gaps.toReversed().slice(0, SHOWN).map((gap) => (
          <li key={gap.end}><span>{moment(Date.parse(gap.start))} – {moment(Date.parse(gap.end))}</span> <span>{gap.duration < 1 ? 'under 1 s' : amount(gap.duration)} {lossOf(gap)}</span></li>
        ))}
      </ul>
      {more > 0 && <p>and {more} more</p>}
    </section>
  );
};
