/** What names a picture of a camera, wherever it is spoken of. */
export const pictureKey = (epoch: number, rtpTimestamp: number): string => `${String(epoch)} ${String(rtpTimestamp)}`;
