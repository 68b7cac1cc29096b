/** `user`: works on the database itself, so that a forgotten password can be set with the server down; a running server notices within a second. */
import { randomBytes } from 'node:crypto';
import { userInfo } from 'node:os';
import { Command, Option } from 'commander';
import { paths } from '../config/load.ts';
import { systemClock } from '../core/clock.ts';
import { AuditService } from '../control-api/audit/service.ts';
import { AuthService } from '../control-api/auth/service.ts';
import { ROLES } from '../control-api/permissions.ts';
import type { Role } from '../control-api/permissions.ts';
import { NewPassword, Username } from '../control-api/users/credentials.ts';
import { UserService } from '../control-api/users/service.ts';
import { openDatabase } from '../platform/database/open.ts';
import { createLogger } from '../platform/logging.ts';
import { MediaError } from '../core/errors.ts';
import { configOf, configured, guarded, terminalIo } from './io.ts';
import type { CliIo } from './io.ts';

interface PasswordOptions {
  readonly random?: true;
}

const withUsers = async (command: Command, io: CliIo, work: (users: UserService, audit: AuditService, auth: AuthService) => Promise<void>): Promise<void> => {
  const config = configOf(command, io);
  const db = await openDatabase(paths(config).database);
  try {
    await using audit = new AuditService(db, systemClock, createLogger({ level: 'error', component: 'cli' }));
    const auth = new AuthService({ db, clock: systemClock, audit });
    await work(new UserService(db, auth, systemClock), audit, auth);
  } finally {
    await db.destroy();
  }
};

const passwordFor = async (username: string, options: PasswordOptions, io: CliIo): Promise<string> => {
  if (options.random) return randomBytes(12).toString('base64url');
  const result = NewPassword.safeParse(await io.secret(`Password for ${username}: `));
  if (!result.success) throw new MediaError('INVALID_ARGUMENT', 'a password has 8 characters at least');
  return result.data;
};

const principal = (): string => `cli:${userInfo().username}`;
const randomOption = (): Option => new Option('--random', 'make a password and print it; else it is asked for, or read from stdin');

export const userCommand = (io: CliIo = terminalIo): Command => {
  const add = configured('add', 'add a user')
    .argument('<username>')
    .addOption(new Option('--role <role>', 'what the user may do').choices(ROLES).default('viewer'))
    .addOption(randomOption())
    .action((username: string, options: PasswordOptions & { readonly role: Role }, command: Command) =>
      guarded(io, () =>
        withUsers(command, io, async (users, audit) => {
          if (!Username.safeParse(username).success) throw new MediaError('INVALID_ARGUMENT', 'a user name has up to 64 letters, digits and . _ @ -');
          const password = await passwordFor(username, options, io);
          await users.create(username, password, options.role);
          audit.record({ principal: principal(), action: 'user:create', target: username, detail: { role: options.role } });
          io.out(options.random ? `${username} added, password ${password}` : `${username} added`);
        }),
      ),
    );
  const passwd = configured('passwd', 'set the password of a user; all log-ins of the user end')
    .argument('<username>')
    .addOption(randomOption())
    .action((username: string, options: PasswordOptions, command: Command) =>
      guarded(io, () =>
        withUsers(command, io, async (users, audit) => {
          const user = await users.byName(username);
          const password = await passwordFor(username, options, io);
          await users.change(user.id, { password });
          audit.record({ principal: principal(), action: 'user:change', target: username, detail: { password: true } });
          io.out(options.random ? `password of ${username} is now ${password}` : `password of ${username} set`);
        }),
      ),
    );
  const list = configured('list', 'list users').action((_options: unknown, command: Command) =>
    guarded(io, () =>
      withUsers(command, io, async (users) => {
        let after: string | undefined;
        for (;;) {
          const rows = await users.list(after, 500);
          for (const user of rows) io.out([user.username, user.role, user.disabled_at === null ? 'enabled' : 'disabled'].join('\t'));
          after = rows.at(-1)?.username;
          if (rows.length < 500) return;
        }
      }),
    ),
  );
  const rotate = configured('rotate-keys', 'sign access tokens with a new key from now on; those signed before stay valid until they expire').action((_options: unknown, command: Command) =>
    guarded(io, () =>
      withUsers(command, io, async (_users, audit, auth) => {
        const kid = await auth.rotateKeys();
        audit.record({ principal: principal(), action: 'auth:rotate-keys', target: kid });
        io.out(`access tokens are signed with the key ${kid} from now on`);
      }),
    ),
  );
  return new Command('user').description('manage users, on the database itself').addCommand(add).addCommand(passwd).addCommand(list).addCommand(rotate);
};
