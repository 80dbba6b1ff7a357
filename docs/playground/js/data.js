// The drawings of the course, with the features that were computed when the site was built.

import { decode } from "./decode.js";

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
  const [listed, bytes] = await Promise.all([
    fetch(new URL("drawings.json", base)).then((answer) => answer.json()),
    fetch(new URL("features.bin", base)).then((answer) => answer.arrayBuffer()),
  ]);
  const length = bytes.byteLength / 4 / listed.length;
  return listed.map((/** @type {any} */ drawing, /** @type {number} */ i) => ({
    ...drawing,
    file: new URL(drawing.file, base).href,
    thumbnail: new URL(drawing.thumbnail, base).href,
    features: new Float32Array(bytes, 4 * i * length, length),
  }));
}

/**
 * Return the pixels of a drawing.
 *
 * @param {Drawing} drawing
 * @returns {Promise<ImageData>}
 */
export async function pixelsOf(drawing) {
  const answer = await fetch(drawing.file);
  return decode(await answer.blob());
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
