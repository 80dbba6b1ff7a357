// Temperature: the logit scale stretches the differences of the cosines, which stay as they are.

import { cosine, softmax } from "../clip.js";
import { fillMenu } from "../data.js";
import { byId, decimal, listed, newest, showBars } from "../dom.js";

/** @typedef {import("../clip.js").Clip} Clip */
/** @typedef {import("../data.js").Drawing} Drawing */

/**
 * @param {Clip} clip
 * @param {Drawing[]} drawings
 */
export function temperature(clip, drawings) {
  const menu = byId("temperature-drawing", HTMLSelectElement);
  const image = byId("temperature-image", HTMLImageElement);
  const input = byId("temperature-texts", HTMLInputElement);
  const slider = byId("temperature-scale", HTMLInputElement);
  const scale = byId("temperature-value", HTMLOutputElement);
  fillMenu(menu, drawings, "cat");

  /** @type {{texts: string[], scores: number[]}} */
  let state = { texts: [], scores: [] };
  const draw = () => {
    const { texts, scores } = state;
    const by = 10 ** Number(slider.value);
    const probabilities = softmax(scores, by);
    scale.value = slider.ariaValueText = String(Math.round(by));
    showBars(
      byId("temperature-cosines", HTMLUListElement),
      texts.map((label, i) => ({ label, value: scores[i], note: decimal(scores[i]) })),
    );
    showBars(
      byId("temperature-probabilities", HTMLUListElement),
      texts.map((label, i) => ({ label, value: probabilities[i] })),
    );
  };
  const encode = newest(byId("temperature-message", HTMLParagraphElement), async () => {
    const drawing = /** @type {Drawing} */ (drawings.find(({ name }) => name === menu.value));
    const texts = listed(input.value);
    Object.assign(image, { src: drawing.thumbnail, alt: drawing.caption });
    if (texts.length < 2) {
      throw new Error("Expected at least two texts, separated by commas. Add one.");
    }
    const vectors = await clip.encodeTexts(texts);
    state = { texts, scores: vectors.map((vector) => cosine(vector, drawing.features)) };
    draw();
  });
  slider.addEventListener("input", () => (state.texts.length ? draw() : encode()));
  menu.addEventListener("change", () => encode());
  input.addEventListener("input", () => encode());
  encode();
}
