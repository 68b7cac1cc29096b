import { RATES } from '../recordings/range-player.ts';
import type { PlayerState, RangePlayer } from '../recordings/range-player.ts';

const REVERSE = [-1, -2, -4, -8, -16];
const words = (rate: number): string => `${rate < 0 ? '◂ ' : ''}${Math.abs(rate)}×`;

/** Play, step, speed, and the ends of a range. */
export const PlayerControls = (props: {
  player: RangePlayer | null; state: PlayerState; muted: boolean; onMute: () => void; onFull: (() => void) | null; onIn: () => void; onOut: () => void;
}) => {
  const { player, state } = props;
  const idle = state.range === null;
  return (
    <div class="controls player-controls" role="group" aria-label="Player">
      <div class="group tight">
        <button type="button" class="icon" disabled={idle} aria-label="One frame back" title="One frame back (,)" onClick={() => player?.step(-1)}>‹</button>
        <button type="button" class="play" disabled={idle} onClick={() => player?.toggle()} title="Space">{state.playing ? 'Pause' : 'Play'}</button>
        <button type="button" class="icon" disabled={idle} aria-label="One frame on" title="One frame on (.)" onClick={() => player?.step(1)}>›</button>
      </div>
      <select aria-label="Speed" title="Speed (J, L)" disabled={idle} value={String(state.rate)} onChange={(event) => player?.setRate(Number(event.currentTarget.value))}>
        <optgroup label="Forward">{RATES.map((rate) => <option key={rate} value={String(rate)}>{words(rate)}</option>)}</optgroup>
        <optgroup label="Backwards">{REVERSE.map((rate) => <option key={rate} value={String(rate)}>{words(rate)}</option>)}</optgroup>
      </select>
      <button type="button" disabled={idle} aria-pressed={!props.muted} onClick={props.onMute}>{props.muted ? 'Sound on' : 'Sound off'}</button>
      {props.onFull && <button type="button" disabled={idle} onClick={props.onFull}>Full screen</button>}
      <div class="group tight ends">
        <button type="button" disabled={idle} onClick={props.onIn} title="The range begins here (I)">Begin here</button>
        <button type="button" disabled={idle} onClick={props.onOut} title="The range ends here (O)">End here</button>
      </div>
    </div>
  );
};
