import type { RuleEvent } from '../api.ts';
import { accessToken, refreshAccess } from '../session.ts';

/** After a connection is lost, and after each further one in a row twice as long. */
const AGAIN_MS = 1_000;
const LONGEST_MS = 60_000;
const UNAUTHENTICATED = 4401;
const TOPIC = 'video-analysis-events';

type Message = { readonly type: 'watching'; readonly cursor?: string } | { readonly type: 'event'; readonly cursor: string; readonly event: { readonly event_type: string } } | { readonly type: 'error' } | { readonly type: 'missed' };

/** What rules of a camera say, as they say it, by `/v1/ws`; a connection that is lost begins again where it ended, once somebody looks at the page. Disposing ends it. */
export const followRules = (camera: string, onEvent: (event: RuleEvent) => void): Disposable => {
  let socket: WebSocket | null = null;
  let timer = 0;
  let pause = AGAIN_MS;
  let after: string | undefined;
  const again = (): void => {
    timer = window.setTimeout(() => { if (document.hidden) again(); else connect(); }, pause);
    pause = Math.min(LONGEST_MS, pause * 2);
  };
  const connect = (): void => {
    const token = accessToken();
    const opened = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/v1/ws`);
    socket = opened;
    opened.onopen = () => {
      opened.send(JSON.stringify({ type: 'auth', token }));
      opened.send(JSON.stringify({ type: 'watch', topic: TOPIC, camera, ...(after === undefined ? {} : { after }) }));
    };
    opened.onmessage = ({ data }: MessageEvent<string>) => {
      const message = JSON.parse(data) as Message;
      if (message.type === 'error') {
        after = undefined; // of a database that was set back: from now on
        opened.close();
        return;
      }
      if (message.type === 'watching') pause = AGAIN_MS;
      if (message.type === 'watching' || message.type === 'event') after = message.cursor ?? after;
      if (message.type === 'event' && message.event.event_type.startsWith('rule_')) onEvent(message.event as RuleEvent);
    };
    opened.onclose = ({ code }) => {
      if (code === UNAUTHENTICATED) void refreshAccess(token).then((renewed) => { if (renewed && socket !== null) again(); }).catch(() => { if (socket !== null) again(); });
      else again();
    };
  };
  connect();
  return {
    [Symbol.dispose]: () => {
      clearTimeout(timer);
      const last = socket;
      socket = null;
      if (last) last.onclose = null;
      last?.close();
    },
  };
};
