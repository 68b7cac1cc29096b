import { setFlagsFromString } from 'node:v8';

/**
 * For Node's command line: the young generation of a process takes at most 12 MiB instead of 48. What is kept of media lies outside V8's heap, and
 * the rest dies young whatever the room, so that all processes together need 60 MiB less and a recording edge less CPU (bench startup, record-rtsp).
 */
export const SMALL_YOUNG_GENERATION = '--max-semi-space-size=4';

/**
 * For Node's command line: garbage is collected by the thread that makes it, in pauses of some ten milliseconds, instead of by several beside it: a
 * twentieth less CPU for a process that nobody waits for so closely (bench extractor).
 */
export const ONE_THREAD_COLLECTS = '--single-threaded-gc';

/**
 * Makes V8 collect the whole heap less often: only once it is three times what was left by the last time, not at the tenth more that V8 grants a
 * program that allocates slowly. Media counts as heap as long as it is referred to, so with ten cameras the default marks 30 MiB of modules
 * anew every few seconds, for a third of the edge's CPU; an extractor, whose pictures are half a MiB each, marks its modules more than once a second.
 * V8's own bound on buffers outside the heap (64 MiB between collections) stays.
 */
export const growHeapInLargeSteps = (): void => { setFlagsFromString('--heap-growing-percent=200'); };

/**
 * The same in still larger steps, for processes between which raw pictures go, half a MiB each and many a second: they are garbage as soon as they are sent, and V8's
 * own bound comes first. A quarter less CPU for a picture, at both ends (bench dispatcher), for some 20 MiB.
 */
export const growHeapForPictures = (): void => { setFlagsFromString('--heap-growing-percent=500'); };
