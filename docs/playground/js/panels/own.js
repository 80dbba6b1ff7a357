// Your own image: chosen, dropped or pasted. It is decoded and encoded in this tab, and goes nowhere.

import { decode } from "../decode.js";
import { shrunk } from "../data.js";
import { byId, newest } from "../dom.js";
import { captions } from "./captions.js";

/** @typedef {import("../clip.js").Clip} Clip */
/** @typedef {import("../data.js").Drawing} Drawing */

const SHOWN = 640; // pixels of the longer side, as the page shows it

/**
 * @param {Clip} clip
 * @param {Drawing[]} drawings
 * @param {(image: ImageData) => void} onImage  is told of each image
 */
export function own(clip, drawings, onImage) {
  const input = byId("own-file", HTMLInputElement);
  const target = byId("own", HTMLElement);
  const show = captions(clip, drawings, "own");

  const problem = byId("own-problem", HTMLParagraphElement);
  const pair = byId("own-pair", HTMLDivElement);
  const open = newest(problem, async (/** @type {File} */ file) => {
    byId("own-example", HTMLImageElement).hidden = true;
    pair.hidden = true;
    byId("own-captions", HTMLUListElement).replaceChildren();
    const image = await decode(file);
    const [seen] = await clip.squares([image]);
    showImage(byId("own-image", HTMLCanvasElement), shrunk(image, SHOWN));
    showImage(byId("own-seen", HTMLCanvasElement), seen);
    pair.hidden = false;
    onImage(image);
    await show(image);
  });

  input.addEventListener("change", () => input.files?.[0] && open(input.files[0]));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    const file = event.dataTransfer?.files[0];
    target.scrollIntoView({ block: "nearest" });
    if (file) {
      open(file);
    } else {
      problem.textContent = "Expected an image file; got something else, such as a link. Save the image first.";
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
