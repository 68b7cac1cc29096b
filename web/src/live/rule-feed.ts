import type { RuleEvent } from '../api.ts';
import { accessToken } from '../session.ts';

/** After a connection is lost. */
const AGAIN_MS = 2_000;
const TOPIC = 'video-analysis-events';

type Message = { readonly type: 'watching'; readonly cursor?: string } | { readonly type: 'event'; readonly cursor: string; readonly event: { readonly event_type: string } } | { readonly type: 'other' };

/** What rules of a camera say, as they say it, by `/v1/ws`; a connection that is lost begins again where it ended. Disposing ends it. */
export const followRules = (camera: string, onEvent: (event: RuleEvent) => void): Disposable => {
  let socket: WebSocket | null = null;
  let timer = 0;
  let after: string | undefined;
  const connect = (): void => {
    const token = accessToken();
    socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/v1/ws`);
    socket.onopen = () => {
      socket?.send(JSON.stringify({ type: 'auth', token }));
      socket?.send(JSON.stringify({ type: 'watch', topic: TOPIC, camera, ...(after === undefined ? {} : { after }) }));
    };
    socket.onmessage = ({ data }: MessageEvent<string>) => {
      const message = JSON.parse(data) as Message;
      if (message.type === 'watching' || message.type === 'event') after = message.cursor ?? after;
      if (message.type === 'event' && message.event.event_type.startsWith('rule_')) onEvent(message.event as RuleEvent);
    };
    socket.onclose = () => { timer = window.setTimeout(connect, AGAIN_MS); };
  };
  connect();
  return {
    [Symbol.dispose]: () => {
      clearTimeout(timer);
      if (socket) socket.onclose = null;
      socket?.close();
    },
  };
};
