/** Calls a second with `underWay` of them under way, over `seconds`. Rejects when one does. */
export const callRate = async (ask: () => Promise<unknown>, underWay: number, seconds: number): Promise<number> => {
  const began = performance.now();
  const end = began + seconds * 1000;
  let calls = 0;
  await Promise.all(Array.from({ length: underWay }, async () => {
    while (performance.now() < end) {
      await ask();
      calls++;
    }
  }));
  return (1000 * calls) / (performance.now() - began);
};
