/** Of the test project `postgres`: one server for all its files (`globalSetup`), whose URL each of them finds in TEST_POSTGRES_URL (`postgres-worker.ts`). */
import type { TestProject } from 'vitest/node';
import { PostgresCluster } from '../../platform/testing/postgres-cluster.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    postgresUrl: string;
  }
}

export const setup = async (project: TestProject): Promise<() => Promise<void>> => {
  const cluster = await PostgresCluster.start();
  project.provide('postgresUrl', cluster.url());
  return () => cluster[Symbol.asyncDispose]();
};
