#!/usr/bin/env node
/** The entry: the server and its tools. No logic: `cli/program.ts` is the command line. */
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

// Compiled code and stripped types are kept between starts, by content: later starts are faster and each process is smaller, for the type
// stripper is not even loaded. Where the folder cannot be written, nothing is kept. Children find it by the variable.
process.env['NODE_COMPILE_CACHE'] ??= join(import.meta.dirname, 'node_modules', '.cache', 'imageflow-edge');
enableCompileCache(process.env['NODE_COMPILE_CACHE']);
await import('./cli/program.ts');
