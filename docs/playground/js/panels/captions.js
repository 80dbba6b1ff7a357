// Which captions fit an image: what the panels Draw and Your own image show.

import { cosine, softmax } from "../clip.js";
import { byId, decimal, listed, newest, percent, say, showBars } from "../dom.js";

/** @typedef {import("../clip.js").Clip} Clip */
/** @typedef {import("../data.js").Drawing} Drawing */

const SHOWN = 6;

/**
 * Return a function that shows the best captions of an image.
 *
 * @param {Clip} clip
 * @param {Drawing[]} drawings  their captions are the candidates
 * @param {string} panel  whose list, message and field for more captions are used
 * @param {(best: string) => void} [onBest]  is told the best caption and its probability
 * @returns {(image: ImageData) => Promise<void>}
 */
export function captions(clip, drawings, panel, onBest = () => {}) {
  const list = byId(`${panel}-captions`, HTMLUListElement);
  const more = byId(`${panel}-more`, HTMLInputElement);
  const common = drawings.map(({ caption }) => caption);
  const ready = clip.encodeTexts(common);
  ready.catch(() => {}); // `show` says it
  /** @type {ImageData | undefined} */
  let latest;

  const show = newest(byId(`${panel}-message`, HTMLParagraphElement), async (/** @type {ImageData} */ image) => {
    latest = image;
    const own = listed(more.value);
    /** @type {unknown} */
    let problem;
    const [[features], shared, added] = await Promise.all([
      clip.encodeImages([image]),
      ready,
      clip.encodeTexts(own).catch((error) => {
        problem = error;
        return /** @type {Float32Array[]} */ ([]);
      }),
    ]);
    const texts = [...(problem ? [] : own), ...common];
    const scores = [...added, ...shared].map((vector) => cosine(features, vector));
    const probabilities = softmax(scores, clip.logitScale);
    const order = texts.map((_, i) => i).sort((a, b) => scores[b] - scores[a]);
    showBars(
      list,
      order.slice(0, SHOWN).map((i) => ({
        label: texts[i],
        value: probabilities[i],
        note: `${percent(probabilities[i])}, cosine ${decimal(scores[i])}`,
      })),
    );
    const best = `${texts[order[0]]}, ${percent(probabilities[order[0]])}`;
    onBest(best);
    say(best);
    if (problem) {
      throw problem; // after the captions that could be ranked
    }
  });
  more.addEventListener("input", () => latest && show(latest));
  return show;
}
