// The drawings of the course, with the features that were computed when the site was built.

import { decode } from "./decode.js";
import { fetchBytes } from "./download.js";

/**
 * @typedef {object} Drawing
 * @property {string} name
 * @property {string} caption
 * @property {string} file  address of the image, 256 × 256
 * @property {string} thumbnail  address of a small copy
 * @property {Float32Array} features  of length 1
 */

/**
 * Load the list of the drawings and their features.
 *
 * @param {URL} base  folder of the playground's files
 * @returns {Promise<Drawing[]>}
 */
export async function loadDrawings(base) {
  const [json, { buffer }] = await Promise.all([
    fetchBytes(new URL("drawings.json", base).href),
    fetchBytes(new URL("features.bin", base).href),
  ]);
  const listed = JSON.parse(new TextDecoder().decode(json));
  const length = buffer.byteLength / 4 / listed.length;
  return listed.map((/** @type {any} */ drawing, /** @type {number} */ i) => ({
    ...drawing,
    file: new URL(drawing.file, base).href,
    thumbnail: new URL(drawing.thumbnail, base).href,
    features: new Float32Array(buffer, 4 * i * length, length),
  }));
}

/**
 * Return the pixels of a drawing.
 *
 * @param {Drawing} drawing
 * @returns {Promise<ImageData>}
 */
export async function pixelsOf(drawing) {
  return decode(new Blob([await fetchBytes(drawing.file)]));
}

/**
 * Fill a menu with the drawings.
 *
 * @param {HTMLSelectElement} menu
 * @param {Drawing[]} drawings
 * @param {string} chosen  name of the one that is chosen first
 */
export function fillMenu(menu, drawings, chosen) {
  menu.replaceChildren(
    ...drawings.map(({ name, caption }) => new Option(caption, name, name === chosen, name === chosen)),
  );
}

/**
 * Return an image whose longer side has at most so many pixels.
 *
 * @param {ImageData} image
 * @param {number} longest
 * @returns {ImageData}
 */
export function shrunk(image, longest) {
  const factor = longest / Math.max(image.width, image.height);
  if (factor >= 1) {
    return image;
  }
  const full = new OffscreenCanvas(image.width, image.height);
  full.getContext("2d")?.putImageData(image, 0, 0);
  const width = Math.max(1, Math.round(factor * image.width));
  const height = Math.max(1, Math.round(factor * image.height));
  const small = /** @type {OffscreenCanvasRenderingContext2D} */ (new OffscreenCanvas(width, height).getContext("2d"));
  small.imageSmoothingQuality = "high";
  small.drawImage(full, 0, 0, width, height);
  return small.getImageData(0, 0, width, height);
}
