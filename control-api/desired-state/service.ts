export type { DesiredCamera, DesiredKey, DesiredState, DesiredStateSource, TokenKey } from './state.ts';
