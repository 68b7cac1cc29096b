import { pino, destination, stdTimeFunctions } from 'pino';
import type { Logger } from 'pino';

export type { Logger } from 'pino';

/**
 * Structured JSON on stderr (stdout belongs to the ready line). One object per event; the message is a constant, values are fields
 * (`camera`, `session`, …). Info: an operator acts or learns. Per-packet detail is a metric, never a log.
 */
export const createLogger = (options: { readonly level: string; readonly component: string }): Logger =>
  pino(
    {
      level: options.level,
      base: { service: 'imageflow-edge', component: options.component },
      messageKey: 'message',
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: ['*.password', '*.token', '*.authorization', '*.publish_key', 'authorization'],
    },
    destination({ fd: 2, sync: true }),
  );

/** For tests and tools that want no logs. */
export const silentLogger = (): Logger => pino({ level: 'silent' });
