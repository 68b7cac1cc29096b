import { defineConfig } from 'vitest/config';

const exclude = ['**/node_modules/**', 'web/dist/**'];
/** A second, as it is without this, is not much on a slow machine with other work; what comes sooner is not waited for. */
const expect = { poll: { timeout: 10_000 } };

export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['**/*.test.ts'], exclude: [...exclude, 'test/**'], testTimeout: 20_000, expect } },
      {
        // The unit tests of whatever asks the database, once more on PostgreSQL.
        test: {
          name: 'postgres', include: ['control-api/**/*.test.ts', 'platform/database/*.test.ts'], exclude, testTimeout: 60_000, hookTimeout: 60_000, expect,
          globalSetup: ['test/support/postgres-project.ts'], setupFiles: ['test/support/postgres-worker.ts'],
        },
      },
      { test: { name: 'integration', include: ['test/integration/**/*.test.ts'], exclude, testTimeout: 120_000, hookTimeout: 120_000, fileParallelism: false, expect } },
      {
        // These wait most of the time, for cameras that record in real time and for retention's minute: two at a time are no slower than one.
        test: { name: 'e2e-recordings', include: ['test/e2e/recordings/*.test.ts'], exclude, testTimeout: 180_000, hookTimeout: 180_000, maxWorkers: 2, sequence: { groupOrder: 1 }, expect },
      },
      // What these look at is how video flows and what pages do meanwhile: one at a time, with nothing beside it.
      { test: { name: 'e2e', include: ['test/e2e/*.test.ts'], exclude, testTimeout: 180_000, hookTimeout: 180_000, fileParallelism: false, expect } },
    ],
  },
});
