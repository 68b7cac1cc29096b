/**
 * The RBSP of a NAL unit: each `00 00 03` loses its 03 (ITU-T H.264 §7.4.1). `limit` bounds how many input bytes are looked at,
 * for callers who only want the first fields. Returns the input itself when there is nothing to remove.
 */
export const removeEmulationPrevention = (nal: Uint8Array, limit = nal.length): Uint8Array => {
  const input = limit < nal.length ? nal.subarray(0, limit) : nal;
  let zeros = 0;
  let output: Uint8Array | null = null;
  let length = 0;
  for (let i = 0; i < input.length; i++) {
    const byte = input[i] ?? 0;
    if (zeros >= 2 && byte === 3) {
      if (!output) {
        output = new Uint8Array(input.length);
        output.set(input.subarray(0, i));
        length = i;
      }
      zeros = 0;
      continue;
    }
    zeros = byte === 0 ? zeros + 1 : 0;
    if (output) output[length++] = byte;
  }
  return output ? output.subarray(0, length) : input;
};
