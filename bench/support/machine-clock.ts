/** Milliseconds of the machine's monotonic clock, the same in every process: two of them can be subtracted across processes. */
export const machineMs = (): number => Number(process.hrtime.bigint()) / 1e6;
