/** A process full of WebRTC peers, so that their CPU is not counted as the server's. Told what to do over IPC by `PeerProcess`. */
import { BareViewer } from './bare-viewer.ts';
import { ClipPublisher } from './clip-publisher.ts';
import type { PeerCommand, PeerReply, PeerReport } from './peer-process.ts';

let publisher: ClipPublisher | null = null;
const viewers: BareViewer[] = [];

const report = (reset: boolean): PeerReport => {
  const result: PeerReport = {
    sent: publisher ? [...publisher.sent] : [], packetsSent: publisher?.packets ?? 0,
    viewers: viewers.map((viewer) => ({ complete: [...viewer.complete], packets: viewer.packets, missing: viewer.missing })),
  };
  if (reset) {
    if (publisher) publisher.sent.length = 0;
    for (const viewer of viewers) viewer.complete.length = 0;
  }
  return result;
};

const perform = async (command: PeerCommand): Promise<PeerReport | null> => {
  switch (command.do) {
    case 'publish':
      publisher = await ClipPublisher.start(command);
      return null;
    case 'view':
      for (let i = 0; i < command.count; i++) viewers.push(await BareViewer.start(command.url, command.token));
      return null;
    case 'report':
      return report(command.reset);
  }
};

process.on('message', (message: { id: number; command: PeerCommand }) => {
  const answer = (reply: PeerReply): void => { process.send?.(reply); };
  perform(message.command).then(
    (value) => { answer({ id: message.id, value }); },
    (error: unknown) => { answer({ id: message.id, error: error instanceof Error ? error.message : String(error) }); },
  );
});
process.on('disconnect', () => { process.exit(0); });
