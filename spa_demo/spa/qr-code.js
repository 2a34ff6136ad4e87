/**
 * A QR code (ISO/IEC 18004) of a short text: byte mode, error correction level L, versions 1 to 6, mask 0.
 * Knows no page.
 */

/** For each version: code words in all, those of error correction in each block, and blocks. */
const VERSIONS = [
  [26, 7, 1],
  [44, 10, 1],
  [70, 15, 1],
  [100, 20, 1],
  [134, 26, 1],
  [172, 18, 2],
];
const FORMAT = 0b111011111000100; // level L and mask 0, as the standard's table has it

/** @typedef {(boolean | undefined)[][]} Grid undefined: not drawn yet */

/**
 * The modules, row by row, true for a dark one; null for a text that is too long.
 * @param {string} text
 * @returns {boolean[][] | null}
 */
export function qrModules(text) {
  const bytes = new TextEncoder().encode(text);
  const index = VERSIONS.findIndex(([total = 0, ecc = 0, blocks = 0]) => bytes.length + 2 <= total - ecc * blocks);
  const sizes = VERSIONS[index];
  if (!sizes) return null;
  const [total = 0, ecc = 0, blocks = 0] = sizes;
  const words = codeWords(bytes, total - ecc * blocks, ecc, blocks);
  const size = 21 + 4 * index;
  /** @type {Grid} */
  const grid = Array.from({ length: size }, () => Array(size));
  drawPatterns(grid, index > 0);
  drawFormat(grid);
  drawWords(grid, words);
  return grid.map((row) => row.map(Boolean));
}

/**
 * Data and error correction, block by block in turn.
 * @param {Uint8Array} bytes
 * @param {number} room for data, in code words
 * @param {number} ecc
 * @param {number} blocks
 */
function codeWords(bytes, room, ecc, blocks) {
  // Four bits of mode, eight of length: each byte lies across two code words.
  const padded = [0x40 | (bytes.length >> 4), ((bytes.length & 15) << 4) | ((bytes[0] ?? 0) >> 4)];
  bytes.forEach((byte, at) => padded.push(((byte & 15) << 4) | ((bytes[at + 1] ?? 0) >> 4)));
  for (let pad = 0xec; padded.length < room; pad ^= 0xec ^ 0x11) padded.push(pad);
  const each = room / blocks;
  const parts = Array.from({ length: blocks }, (_, at) => padded.slice(at * each, (at + 1) * each));
  const checks = parts.map((part) => remainder(part, ecc));
  return [...interleaved(parts, each), ...interleaved(checks, ecc)];
}

/**
 * @param {number[][]} parts
 * @param {number} length
 */
function interleaved(parts, length) {
  return Array.from({ length }, (_, at) => parts.map((part) => part[at] ?? 0)).flat();
}

/**
 * Reed-Solomon check words: the remainder by the generator of this degree.
 * @param {number[]} data
 * @param {number} degree
 */
function remainder(data, degree) {
  let generator = [1];
  for (let power = 0, root = 1; power < degree; power += 1, root = times(root, 2)) {
    const shifted = [...generator, 0];
    generator = shifted.map((one, at) => one ^ times(generator[at - 1] ?? 0, root));
  }
  const rest = [...data, ...Array(degree).fill(0)];
  data.forEach((_, at) => {
    const factor = rest[at] ?? 0;
    generator.forEach((one, offset) => (rest[at + offset] ^= times(one, factor)));
  });
  return rest.slice(data.length);
}

/**
 * In the field of 256 elements by x^8 + x^4 + x^3 + x^2 + 1.
 * @param {number} a
 * @param {number} b
 */
function times(a, b) {
  let product = 0;
  for (; b; b >>= 1) {
    if (b & 1) product ^= a;
    a = (a << 1) ^ (a & 0x80 ? 0x11d : 0);
  }
  return product;
}

/**
 * What is the same in every code of this size.
 * @param {Grid} grid
 * @param {boolean} isAligned
 */
function drawPatterns(grid, isAligned) {
  const last = grid.length - 1;
  for (let at = 0; at <= last; at += 1) {
    set(grid, 6, at, at % 2 === 0);
    set(grid, at, 6, at % 2 === 0);
  }
  for (const [y, x] of /** @type {const} */ ([[3, 3], [3, last - 3], [last - 3, 3]])) {
    drawRings(grid, y, x, 4, (distance) => distance !== 2 && distance !== 4);
  }
  if (isAligned) drawRings(grid, last - 6, last - 6, 2, (distance) => distance !== 1);
  set(grid, last - 7, 8, true);
}

/**
 * @param {Grid} grid
 * @param {number} y
 * @param {number} x
 * @param {number} radius
 * @param {(distance: number) => boolean} isDark
 */
function drawRings(grid, y, x, radius, isDark) {
  for (let dy = -radius; dy <= radius; dy += 1) {
    for (let dx = -radius; dx <= radius; dx += 1) set(grid, y + dy, x + dx, isDark(Math.max(Math.abs(dy), Math.abs(dx))));
  }
}

/**
 * Twice: around the corner at the top left, and beside the two others.
 * @param {Grid} grid
 */
function drawFormat(grid) {
  const last = grid.length - 1;
  for (let bit = 0; bit < 15; bit += 1) {
    const isDark = ((FORMAT >> bit) & 1) === 1;
    if (bit < 8) {
      set(grid, bit < 6 ? bit : bit + 1, 8, isDark);
      set(grid, 8, last - bit, isDark);
    } else {
      set(grid, 8, bit < 9 ? 7 : 14 - bit, isDark);
      set(grid, last - 14 + bit, 8, isDark);
    }
  }
}

/**
 * Upwards and downwards in columns of two, from the right, past what is drawn already.
 * @param {Grid} grid
 * @param {number[]} words
 */
function drawWords(grid, words) {
  const size = grid.length;
  let bit = 0;
  let isUpwards = true;
  for (let right = size - 1; right > 0; right -= 2) {
    if (right === 6) right -= 1; // the column of the timing pattern
    for (let step = 0; step < size; step += 1) {
      const y = isUpwards ? size - 1 - step : step;
      for (const x of [right, right - 1]) {
        if (grid[y]?.[x] !== undefined) continue;
        const isSet = (((words[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1) === 1;
        set(grid, y, x, isSet !== ((y + x) % 2 === 0));
        bit += 1;
      }
    }
    isUpwards = !isUpwards;
  }
}

/**
 * @param {Grid} grid
 * @param {number} y
 * @param {number} x
 * @param {boolean} isDark
 */
function set(grid, y, x, isDark) {
  const row = grid[y];
  if (row && x >= 0 && x < row.length) row[x] = isDark;
}
