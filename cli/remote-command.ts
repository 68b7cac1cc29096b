import type { Command } from 'commander';
import { configured } from './io.ts';

/** A command that speaks to a running server. */
export const remote = (name: string, description: string): Command =>
  configured(name, description)
    .option('--url <url>', 'the server; else IMAGEFLOWCTL_URL, else this machine')
    .option('--token <token>', 'an access token; else IMAGEFLOWCTL_TOKEN')
    .option('--username <name>', 'log in as; the password is IMAGEFLOWCTL_PASSWORD or asked for', 'admin')
    .option('--json', 'print the answer as JSON');
