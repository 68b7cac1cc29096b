/** Midnight, local time, so many days from the day of `at`. */
export const midnight = (at: number, days = 0): number => {
  const date = new Date(at);
  date.setHours(0, 0, 0, 0);
  date.setDate(date.getDate() + days);
  return date.getTime();
};
