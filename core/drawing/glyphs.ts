/** Letters of five by seven dots, for the labels of boxes: no font has to be installed where a server runs. */

export const GLYPH_WIDTH = 5;
/** Letters with a tail reach an eighth row. */
export const GLYPH_HEIGHT = 8;
/** From one letter to the next, in dots. */
export const GLYPH_ADVANCE = GLYPH_WIDTH + 1;

const FIRST = 0x20;
/** U+0020 to U+007E; five columns each, left to right, the lowest bit is the uppermost dot. */
const COLUMNS = Buffer.from([
  '000000000000005f00000007000700147f147f14242a7f2a12231308646236495620500008070300001c2241000041221c002a1c7f1c2a08083e08080080703000080808080800006060002010080402',
  '3e5149453e00427f400072494949462141494d331814127f1027454545393c4a49493141211109073649494936464949291e000014000000403400000008142241141414141400412214080201590906',
  '3e415d594e7c1211127c7f494949363e414141227f4141413e7f494949417f090909013e414151737f0808087f00417f41002040413f017f081422417f404040407f021c027f7f0408107f3e4141413e',
  '7f090909063e4151215e7f09192946264949493203017f01033f4040403f1f2040201f3f4038403f631408146303047804036159494d43007f4141410204081020004141417f04020102044040404040',
  '000307080020545478407f284444383844444428384444287f385454541800087e090218a4a49c787f0804047800447d40002040403d007f1028440000417f40007c047804787c080404783844444438',
  'fc1824241818242418fc7c08040408485454542404043f44243c4040207c1c2040201c3c4030403c44281028444c9090907c4464544c440008364100000077000000413608000201020402',
].join(''), 'hex');
const COUNT = COLUMNS.length / GLYPH_WIDTH;

/** What can be written of a text: accents are left out, letters of other scripts are a question mark. */
export const writable = (text: string): string =>
  text.normalize('NFKD').replaceAll(/\p{M}/gu, '').replaceAll('ß', 'ss').replaceAll(/[^\x20-\x7e]/gu, '?');

/** Calls `dot` for every dot of a line of text that `writable` has made; its place in dots from the upper left corner. */
export const eachDot = (text: string, dot: (x: number, y: number) => void): void => {
  for (let i = 0; i < text.length; i++) {
    const glyph = text.charCodeAt(i) - FIRST;
    if (glyph < 0 || glyph >= COUNT) continue;
    for (let column = 0; column < GLYPH_WIDTH; column++) {
      const bits = COLUMNS[glyph * GLYPH_WIDTH + column] ?? 0;
      for (let row = 0; row < GLYPH_HEIGHT; row++) if (((bits >> row) & 1) === 1) dot(i * GLYPH_ADVANCE + column, row);
    }
  }
};
