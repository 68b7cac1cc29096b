import type { Camera } from '../api.ts';
import { codeName } from '../live/code-words.ts';
import { moment } from '../recordings/moments.ts';

/** The code that the camera has shown last, and when; nothing where none are read. */
export const LastCode = (props: { camera: Camera }) => {
  const { codes, stats } = props.camera;
  if (!codes) return null;
  const last = stats?.last_code ?? null;
  return (
    <p class="last-code" data-code={last?.text ?? ''}>
      {last === null ? <span class="muted">No code has been seen yet.</span> : (
        <>
          <span class="badge">{codeName(last.format)}</span>
          {last.text === null ? <span class="muted">holds no text</span> : <code title={last.text}>{last.text}</code>}
          <time class="muted" dateTime={last.at}>{moment(Date.parse(last.at))}</time>
        </>
      )}
    </p>
  );
};
