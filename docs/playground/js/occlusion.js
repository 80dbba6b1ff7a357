// Occlusion: cover one region of an image after another, and see how far the similarity falls. As in
// helpers.occlusion_maps, with its defaults.

import { cosine } from "./clip.js";

/** @typedef {import("./clip.js").Clip} Clip */
/** @typedef {{left: number, top: number}} Corner */

const PATCHES_PER_SIDE = 4;
const COVER = [123, 117, 104]; // the mean colour of CLIP's training images
const AT_ONCE = 7; // covered copies between two looks at the map

/**
 * Compute the map of an image for a text, region by region.
 *
 * @param {Clip} clip
 * @param {ImageData} image
 * @param {Float32Array} text  its features
 * @param {(map: Float32Array, done: number) => void} onMap  is given the drop at each pixel so far, and the part done
 * @param {AbortSignal} signal
 */
export async function occlude(clip, image, text, onMap, signal) {
  const { width, height } = image;
  const patch = Math.max(1, Math.floor(Math.min(width, height) / PATCHES_PER_SIDE));
  const corners = cornersOf(width, height, patch, Math.max(1, Math.floor(patch / 2)));
  const [whole] = await clip.encodeImages([image], { signal });
  const total = new Float32Array(width * height);
  const times = new Float32Array(width * height);
  for (let i = 0; i < corners.length; i += AT_ONCE) {
    const some = corners.slice(i, i + AT_ONCE);
    const copies = some.map((corner) => covered(image, corner, patch));
    const features = await clip.encodeImages(copies, { signal });
    features.forEach((vector, j) => {
      const drop = cosine(whole, text) - cosine(vector, text);
      forEachPixel(some[j], patch, width, (at) => {
        total[at] += drop;
        times[at] += 1;
      });
    });
    const map = total.map((sum, at) => (times[at] ? sum / times[at] : 0));
    onMap(map, Math.min(1, (i + some.length) / corners.length));
  }
}

/**
 * @param {number} width
 * @param {number} height
 * @param {number} patch
 * @param {number} stride
 * @returns {Corner[]}
 */
function cornersOf(width, height, patch, stride) {
  const starts = (/** @type {number} */ length) => {
    const found = [];
    for (let start = 0; start < length - patch; start += stride) {
      found.push(start);
    }
    return [...found, length - patch];
  };
  return starts(height).flatMap((top) => starts(width).map((left) => ({ left, top })));
}

/**
 * @param {ImageData} image
 * @param {Corner} corner
 * @param {number} patch
 */
function covered(image, corner, patch) {
  const copy = new ImageData(image.data.slice(), image.width, image.height);
  forEachPixel(corner, patch, image.width, (at) => copy.data.set([...COVER, 255], 4 * at));
  return copy;
}

/**
 * @param {Corner} corner
 * @param {number} patch
 * @param {number} width
 * @param {(at: number) => void} visit
 */
function forEachPixel({ left, top }, patch, width, visit) {
  for (let y = top; y < top + patch; y++) {
    for (let x = left; x < left + patch; x++) {
      visit(y * width + x);
    }
  }
}
