/** The worker process: models behind gRPC. Run by the supervisor, or alone by `main.ts --role worker`. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig, paths } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { systemClock } from '../core/clock.ts';
import { Announcement } from '../inference/worker/announcement.ts';
import { WorkerServer } from '../inference/worker/worker-server.ts';
import { growHeapForPictures } from '../platform/heap-growth.ts';
import { createLogger } from '../platform/logging.ts';
import { exitWithParent } from '../platform/parent-process.ts';
import { internalAddresses, internalToken } from '../platform/runtime-directory.ts';
import { productVersion } from './product-version.ts';

/**
 * Listens on `worker.listen` and tells the parent `{"type":"listening","listen":"unix:/…"}`, then `{"type":"ready","listen":…}` once the
 * default model is warm. Ends with its parent, or on SIGTERM. Throws when it cannot listen.
 */
export const runWorker = async (config: Config): Promise<void> => {
  growHeapForPictures();
  const clock = systemClock;
  const logger = createLogger({ level: config.log.level, component: 'worker' });
  const stop = new AbortController();
  const stopped = new Promise<void>((resolve) => { stop.signal.addEventListener('abort', () => { resolve(); }, { once: true }); });
  const parent = exitWithParent();
  process.once('SIGTERM', () => { stop.abort(); });
  if (!parent) process.once('SIGINT', () => { stop.abort(); });

  const { inference } = config;
  const modelsFolder = paths(config).models;
  mkdirSync(modelsFolder, { recursive: true });
  const listen = internalAddresses(config).worker;
  await using worker = await WorkerServer.start({
    listen,
    ...internalToken(config, listen),
    defaultModel: inference.default_model,
    credits: inference.credits,
    bundledFolder: join(import.meta.dirname, '..', 'models'),
    modelsFolder,
    threads: inference.threads,
    batchMax: config.worker.batch_max,
    batchDelayMs: config.worker.batch_delay_ms,
    executionProviders: config.worker.execution_providers,
    maxModelBytes: inference.max_model_bytes,
    deadlineMs: inference.deadline_ms,
    kserveCalls: config.worker.kserve_calls,
    kserveBytes: config.worker.kserve_bytes,
    version: await productVersion(),
    clock,
    logger,
  });
  parent?.send({ type: 'listening', listen: worker.address });
  const { announce_to: control, address = worker.address } = config.worker;
  using _announcement = control === undefined ? undefined : new Announcement({ control, ...internalToken(config, control), address, clock, logger });
  void worker.warm.then(() => {
    logger.info({ listen: worker.address, model: inference.default_model }, 'worker ready');
    parent?.send({ type: 'ready', listen: worker.address });
  });
  await stopped;
};

if (import.meta.main) await runWorker(loadConfig({ env: process.env }));
