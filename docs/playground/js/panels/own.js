// Your own image: chosen, dropped or pasted. It is decoded and encoded in this tab, and goes nowhere.

import { decode } from "../decode.js";
import { byId, newest } from "../dom.js";
import { squareOf } from "../preprocess.js";
import { captions } from "./captions.js";

/** @typedef {import("../clip.js").Clip} Clip */
/** @typedef {import("../data.js").Drawing} Drawing */

const SIZE = 64; // of the square that `tiny` sees

/**
 * @param {Clip} clip
 * @param {Drawing[]} drawings
 * @param {(image: ImageData) => void} onImage  is told of each image
 */
export function own(clip, drawings, onImage) {
  const input = byId("own-file", HTMLInputElement);
  const target = byId("own", HTMLElement);
  const show = captions(clip, drawings, "own");

  const open = newest(byId("own-problem", HTMLParagraphElement), async (/** @type {File} */ file) => {
    const image = await decode(file);
    showImage(byId("own-image", HTMLCanvasElement), image);
    const { data, width, height } = squareOf(image, SIZE);
    const seen = new ImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      seen.data.set([data[3 * i], data[3 * i + 1], data[3 * i + 2], 255], 4 * i);
    }
    showImage(byId("own-seen", HTMLCanvasElement), seen);
    byId("own-example", HTMLImageElement).hidden = true;
    byId("own-pair", HTMLDivElement).hidden = false;
    onImage(image);
    await show(image);
  });

  input.addEventListener("change", () => input.files?.[0] && open(input.files[0]));
  target.addEventListener("dragover", (event) => {
    event.preventDefault();
    target.classList.add("over");
  });
  target.addEventListener("dragleave", () => target.classList.remove("over"));
  target.addEventListener("drop", (event) => {
    event.preventDefault();
    target.classList.remove("over");
    const file = event.dataTransfer?.files[0];
    if (file) {
      open(file);
    }
  });
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find(({ type }) => type.startsWith("image/"));
    if (file) {
      open(file);
    }
  });
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {ImageData} image
 */
function showImage(canvas, image) {
  Object.assign(canvas, { width: image.width, height: image.height });
  canvas.getContext("2d")?.putImageData(image, 0, 0);
}
