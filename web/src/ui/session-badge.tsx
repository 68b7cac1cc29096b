import type { CameraSession } from '../api.ts';

const WORDS: Record<CameraSession['phase'], string> = { connecting: 'connecting', live: 'live', interrupted: 'interrupted', ended: 'offline' };

export const SessionBadge = (props: { session: CameraSession | null }) => {
  const phase = props.session?.phase ?? 'ended';
  return <span class={`badge ${phase}`} title={props.session?.reason ?? undefined}>{WORDS[phase]}</span>;
};
