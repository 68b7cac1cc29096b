import { defineConfig } from 'vitest/config';

const exclude = ['**/node_modules/**', 'web/dist/**'];

export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['**/*.test.ts'], exclude: [...exclude, 'test/**'], testTimeout: 20_000 } },
      { test: { name: 'integration', include: ['test/integration/**/*.test.ts'], exclude, testTimeout: 120_000, hookTimeout: 120_000, fileParallelism: false } },
      { test: { name: 'e2e', include: ['test/e2e/**/*.test.ts'], exclude, testTimeout: 180_000, hookTimeout: 180_000, fileParallelism: false } },
    ],
  },
});
