// From an image as the browser decodes it to the numbers that CLIP's image encoder takes.
//
// The result equals that of helpers in every bit where the decoded pixels do. A canvas keeps colours multiplied by
// their opacity, so it rounds the colours of half transparent pixels: over white, they may be off by 1 of 255.

import { resize } from "./resize.js";

/** @typedef {import("./resize.js").Rgb} Rgb */

const LONGEST = 100; // times as long as wide: a longer strip is cut to its middle, as helpers.images does
const MEAN = [0.48145466, 0.4578275, 0.40821073].map(Math.fround);
const DEVIATION = [0.26862954, 0.26130258, 0.27577711].map(Math.fround);

/**
 * Preprocess an image: white ground, short side to `size`, centre crop, CLIP's mean and deviation.
 *
 * @param {ImageData} image
 * @param {number} size  side of the square that the encoder takes
 * @returns {Float32Array}  3 · size · size: red, green, blue
 */
export function preprocess(image, size) {
  return normalize(squareOf(image, size));
}

/**
 * Return the square of pixels that the encoder sees.
 *
 * @param {ImageData} image
 * @param {number} size
 * @returns {Rgb}
 */
export function squareOf(image, size) {
  const strip = cutStrip(onWhite(image));
  const longer = Math.trunc((size * Math.max(strip.width, strip.height)) / Math.min(strip.width, strip.height));
  const isWide = strip.width > strip.height;
  const scaled = resize(strip, isWide ? longer : size, isWide ? size : longer);
  const left = roundHalfToEven((scaled.width - size) / 2);
  const top = roundHalfToEven((scaled.height - size) / 2);
  return crop(scaled, left, top, size, size);
}

/**
 * @param {Rgb} square
 * @returns {Float32Array}
 */
function normalize(square) {
  const pixels = square.width * square.height;
  const values = new Float32Array(3 * pixels);
  for (let colour = 0; colour < 3; colour++) {
    for (let i = 0; i < pixels; i++) {
      const value = Math.fround(square.data[3 * i + colour] / 255);
      values[colour * pixels + i] = Math.fround(value - MEAN[colour]) / DEVIATION[colour];
    }
  }
  return values;
}

/**
 * Lay an image over white, with the rounding of Pillow's `alpha_composite`.
 *
 * @param {ImageData} image
 * @returns {Rgb}
 */
function onWhite({ width, height, data }) {
  const rgb = new Uint8ClampedArray(3 * width * height);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    const opacity = data[from + 3];
    for (let colour = 0; colour < 3; colour++) {
      const mixed = (data[from + colour] * opacity + 255 * (255 - opacity) + 128) << 7;
      rgb[to++] = ((mixed >> 8) + mixed) >> 15;
    }
  }
  return { width, height, data: rgb };
}

/**
 * Cut a long strip to its middle. Whole multiples of its width go, so that the crop later falls on the same pixels.
 *
 * @param {Rgb} image
 * @returns {Rgb}
 */
function cutStrip(image) {
  const shorter = Math.min(image.width, image.height);
  const longer = Math.max(image.width, image.height);
  const ends = Math.ceil((longer - LONGEST * shorter) / (2 * shorter)) * shorter;
  if (ends <= 0) {
    return image;
  }
  return image.width > image.height
    ? crop(image, ends, 0, longer - 2 * ends, shorter)
    : crop(image, 0, ends, shorter, longer - 2 * ends);
}

/**
 * @param {Rgb} image
 * @param {number} left
 * @param {number} top
 * @param {number} width
 * @param {number} height
 * @returns {Rgb}
 */
function crop(image, left, top, width, height) {
  const data = new Uint8ClampedArray(3 * width * height);
  for (let y = 0; y < height; y++) {
    const start = 3 * ((top + y) * image.width + left);
    data.set(image.data.subarray(start, start + 3 * width), 3 * y * width);
  }
  return { width, height, data };
}

/**
 * Round as Python does: a half goes to the even neighbour.
 *
 * @param {number} value
 */
function roundHalfToEven(value) {
  const below = Math.floor(value);
  return value - below === 0.5 ? below + (below % 2) : Math.round(value);
}
