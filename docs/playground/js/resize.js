// Pillow's bicubic resizing of 8-bit RGB, to the last bit: its fixed point, its rounding, its two passes.

/** @typedef {{width: number, height: number, data: Uint8ClampedArray}} Rgb  three bytes per pixel, row by row */

const BITS = 22; // after the point; Pillow calls them PRECISION_BITS
const HALF = 1 << (BITS - 1);
const SUPPORT = 2; // pixels on each side that bicubic interpolation looks at

/**
 * Resize an image as `Image.resize((width, height), BICUBIC)` does.
 *
 * @param {Rgb} image
 * @param {number} width
 * @param {number} height
 * @returns {Rgb}
 */
export function resize(image, width, height) {
  // Pillow 13 takes the columns of a tall image first when it shrinks it. As each pass rounds, this changes bytes.
  const isColumnsFirst = image.height > 2 * image.width && height < image.height;
  return isColumnsFirst
    ? resizeRows(resizeColumns(image, height), width)
    : resizeColumns(resizeRows(image, width), height);
}

/**
 * @param {Rgb} image
 * @param {number} width
 * @returns {Rgb}
 */
function resizeRows(image, width) {
  if (width === image.width) {
    return image;
  }
  const data = new Uint8ClampedArray(3 * width * image.height);
  weights(image.width, width).forEach(({ first, factors }, x) => {
    for (let y = 0; y < image.height; y++) {
      mix(image.data, 3 * (y * image.width + first), 3, factors, data, 3 * (y * width + x));
    }
  });
  return { width, height: image.height, data };
}

/**
 * @param {Rgb} image
 * @param {number} height
 * @returns {Rgb}
 */
function resizeColumns(image, height) {
  if (height === image.height) {
    return image;
  }
  const row = 3 * image.width;
  const data = new Uint8ClampedArray(row * height);
  weights(image.height, height).forEach(({ first, factors }, y) => {
    for (let x = 0; x < row; x += 3) {
      mix(image.data, first * row + x, row, factors, data, y * row + x);
    }
  });
  return { width: image.width, height, data };
}

/**
 * Write one pixel: the weighted sum of those that start at `at` and lie `step` bytes apart.
 *
 * @param {Uint8ClampedArray} from
 * @param {number} at
 * @param {number} step
 * @param {Int32Array} factors
 * @param {Uint8ClampedArray} to
 * @param {number} place
 */
function mix(from, at, step, factors, to, place) {
  let red = HALF;
  let green = HALF;
  let blue = HALF;
  for (const factor of factors) {
    red += factor * from[at];
    green += factor * from[at + 1];
    blue += factor * from[at + 2];
    at += step;
  }
  to[place] = red >> BITS; // a Uint8ClampedArray limits it to 0…255
  to[place + 1] = green >> BITS;
  to[place + 2] = blue >> BITS;
}

/**
 * Return the pixels that each pixel of the result is mixed from, and their integer weights.
 *
 * @param {number} before  length in pixels
 * @param {number} after  length in pixels
 */
function weights(before, after) {
  const scale = before / after;
  const stretch = Math.max(scale, 1); // an image that shrinks is averaged over more pixels
  const support = SUPPORT * stretch;
  return Array.from({ length: after }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - support + 0.5), 0);
    const end = Math.min(Math.trunc(centre + support + 0.5), before);
    const raw = Array.from({ length: end - first }, (_, j) => bicubic((j + first - centre + 0.5) * (1 / stretch)));
    const sum = raw.reduce((total, weight) => total + weight, 0);
    return { first, factors: Int32Array.from(raw, (weight) => toFixedPoint(sum ? weight / sum : weight)) };
  });
}

/** @param {number} x  distance in pixels */
function bicubic(x) {
  x = Math.abs(x);
  if (x < 1) {
    return (1.5 * x - 2.5) * x * x + 1;
  }
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
}

/** @param {number} weight */
function toFixedPoint(weight) {
  return Math.trunc(weight * (1 << BITS) + (weight < 0 ? -0.5 : 0.5));
}
