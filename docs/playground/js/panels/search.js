// Search: the drawings are ranked again at each key.

import { cosine } from "../clip.js";
import { byId, decimal, make, newest, required, say } from "../dom.js";

/** @typedef {import("../clip.js").Clip} Clip */
/** @typedef {import("../data.js").Drawing} Drawing */

/**
 * @param {Clip} clip
 * @param {Drawing[]} drawings
 */
export function search(clip, drawings) {
  const input = byId("search-text", HTMLInputElement);
  const list = byId("search-results", HTMLOListElement);
  const best = byId("search-best", HTMLParagraphElement);

  const show = newest(byId("search-message", HTMLParagraphElement), async (/** @type {string} */ text) => {
    const [vector] = await clip.encodeTexts([required(text)]);
    const ranked = drawings
      .map((drawing) => ({ ...drawing, score: cosine(vector, drawing.features) }))
      .sort((a, b) => b.score - a.score);
    list.replaceChildren(...ranked.map(item));
    best.textContent = `Best match for “${text}”: ${ranked[0].caption}, cosine ${decimal(ranked[0].score)}.`;
    say(best.textContent);
  });

  input.addEventListener("input", () => show(input.value));
  show(input.value); // what is saved may differ in the last place
  for (const button of document.querySelectorAll("#search .example")) {
    button.addEventListener("click", () => {
      input.value = button.textContent ?? "";
      show(input.value);
    });
  }
}

/** @param {Drawing & {score: number}} drawing */
function item({ caption, thumbnail, score }) {
  const image = make("img", { src: thumbnail, alt: caption, title: caption, width: 64, height: 64 });
  return make("li", {}, image, make("b", {}, decimal(score)));
}
