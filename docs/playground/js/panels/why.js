// Why: which part of the image, and which word of the text, the score depends on.

import { cosine } from "../clip.js";
import { signedColour } from "../colours.js";
import { fillMenu, pixelsOf, shrunk } from "../data.js";
import { byId, decimal, newest, percent, required, say, showBars } from "../dom.js";
import { occlude } from "../occlusion.js";

/** @typedef {import("../clip.js").Clip} Clip */
/** @typedef {import("../data.js").Drawing} Drawing */

const FULL = 0.1; // a drop of the cosine that the map draws in full colour; page.py has the same
const FULL_WORD = 0.6; // a drop that fills a word's bar
const LONGEST = 256; // pixels: a larger image is made smaller first, because each covered copy is resized again

/**
 * @param {Clip} clip
 * @param {Drawing[]} drawings
 * @returns {(image: ImageData) => void}  offers an image of the reader's own
 */
export function why(clip, drawings) {
  const menu = byId("why-drawing", HTMLSelectElement);
  const input = byId("why-text", HTMLInputElement);
  const progress = byId("why-progress", HTMLProgressElement);
  const words = byId("why-words", HTMLUListElement);
  const canvas = byId("why-map", HTMLCanvasElement);
  /** @type {ImageData | undefined} */
  let ownImage;
  let running = new AbortController();

  const explain = newest(byId("why-message", HTMLParagraphElement), async () => {
    const { signal } = (running = new AbortController());
    const drawing = drawings.find(({ name }) => name === menu.value);
    const image = drawing ? await pixelsOf(drawing) : /** @type {ImageData} */ (ownImage);
    const [text] = await clip.encodeTexts([required(input.value)]);
    const [features] = await clip.encodeImages([image]);
    const score = cosine(text, features);
    const told = `“${input.value}”: cosine ${decimal(score)}.`;
    byId("why-score", HTMLParagraphElement).textContent = told;
    say(told);
    await showWords(clip, input.value, features, score, words);
    byId("why-example", HTMLImageElement).hidden = true;
    canvas.hidden = false;
    progress.hidden = false;
    try {
      await occlude(
        clip,
        image,
        text,
        (map, done) => {
          showMap(canvas, image, map);
          progress.value = done;
          progress.textContent = percent(done);
        },
        signal,
      );
    } catch (error) {
      if (!signal.aborted) {
        throw error;
      }
    }
    progress.hidden = true;
  });
  const restart = () => {
    running.abort();
    explain();
  };

  fillMenu(menu, drawings, "bird");
  menu.addEventListener("change", restart);
  byId("why-form", HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault();
    restart();
  });
  return (image) => {
    ownImage = shrunk(image, LONGEST);
    if (!menu.querySelector("option[value='']")) {
      menu.prepend(new Option("your own image", ""));
    }
  };
}

/**
 * Leave out one word after another, and show how far the cosine falls.
 *
 * @param {Clip} clip
 * @param {string} text
 * @param {Float32Array} image
 * @param {number} score
 * @param {HTMLUListElement} list
 */
async function showWords(clip, text, image, score, list) {
  const all = text.trim().split(/\s+/);
  const shorter = all.map((_, left) => all.filter((_, i) => i !== left).join(" "));
  const vectors = await clip.encodeTexts(shorter);
  showBars(
    list,
    all.map((label, i) => {
      const drop = score - cosine(vectors[i], image);
      return { label, value: drop / FULL_WORD, note: `${drop < 0 ? "rises" : "falls"} by ${decimal(Math.abs(drop))}` };
    }),
  );
}

/**
 * Draw a grey copy of the image under its map.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {ImageData} image
 * @param {Float32Array} map
 */
function showMap(canvas, image, map) {
  const shown = new ImageData(image.width, image.height);
  map.forEach((drop, at) => {
    const [red, green, blue] = image.data.subarray(4 * at, 4 * at + 3);
    const grey = 128 + (0.3 * red + 0.59 * green + 0.11 * blue) / 2;
    const [r, g, b, opacity] = signedColour(drop / FULL);
    const part = opacity / 255;
    shown.data.set([r, g, b].map((value) => Math.round(part * value + (1 - part) * grey)), 4 * at);
    shown.data[4 * at + 3] = 255;
  });
  Object.assign(canvas, { width: image.width, height: image.height });
  canvas.getContext("2d")?.putImageData(shown, 0, 0);
}
