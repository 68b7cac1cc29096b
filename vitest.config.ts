import { defineConfig } from 'vitest/config';

const exclude = ['**/node_modules/**', 'web/dist/**'];

export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['**/*.test.ts'], exclude: [...exclude, 'test/**'], testTimeout: 20_000 } },
      {
        // The unit tests of whatever asks the database, once more on PostgreSQL.
        test: {
          name: 'postgres', include: ['control-api/**/*.test.ts', 'platform/database/*.test.ts'], exclude, testTimeout: 60_000, hookTimeout: 60_000,
          globalSetup: ['test/support/postgres-project.ts'], setupFiles: ['test/support/postgres-worker.ts'],
        },
      },
      { test: { name: 'integration', include: ['test/integration/**/*.test.ts'], exclude, testTimeout: 120_000, hookTimeout: 120_000, fileParallelism: false } },
      { test: { name: 'e2e', include: ['test/e2e/**/*.test.ts'], exclude, testTimeout: 180_000, hookTimeout: 180_000, fileParallelism: false } },
    ],
  },
});
