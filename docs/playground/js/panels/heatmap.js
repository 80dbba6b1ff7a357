// Heatmap: your texts against some drawings. A click on a cell shows where its number comes from.

import { cosine } from "../clip.js";
import { scoreColour, signedColour } from "../colours.js";
import { byId, decimal, make, newest, required, say } from "../dom.js";

/** @typedef {import("../clip.js").Clip} Clip */
/** @typedef {import("../data.js").Drawing} Drawing */

const HEIGHT = 28; // pixels of a strip

/**
 * @param {Clip} clip
 * @param {Drawing[]} drawings
 */
export function heatmap(clip, drawings) {
  const table = byId("heatmap-table", HTMLTableElement);
  const message = byId("heatmap-message", HTMLParagraphElement);
  const columns = [...table.tHead?.querySelectorAll("img") ?? []].map(
    ({ dataset }) => /** @type {Drawing} */ (drawings.find(({ name }) => name === dataset.name)),
  );
  const rows = [...table.tBodies[0].rows].map((row) => ({ row, input: row.querySelector("input"), at: row.rowIndex }));

  for (const { row, input } of rows) {
    if (!input) {
      continue;
    }
    /** @type {Float32Array | undefined} */
    let vector;
    let chosen = -1;
    const show = newest(message, async () => {
      [vector] = await clip.encodeTexts([required(input.value)]);
      const scores = columns.map(({ features }) => cosine(/** @type {Float32Array} */ (vector), features));
      scores.forEach((score, i) => paint(buttonOf(row.cells[i + 1]), score, `${input.value}, ${columns[i].caption}`));
      if (chosen >= 0) {
        explain(input.value, vector, columns[chosen]);
      }
    });
    input.addEventListener("input", () => show());
    show();
    columns.forEach((drawing, i) => {
      buttonOf(row.cells[i + 1]).addEventListener("click", async ({ currentTarget }) => {
        table.querySelectorAll("button").forEach((button) => button.setAttribute("aria-pressed", "false"));
        /** @type {HTMLElement} */ (currentTarget).setAttribute("aria-pressed", "true");
        rows.forEach(({ input }) => input?.dispatchEvent(new Event("forget")));
        chosen = i;
        await show();
      });
    });
    input.addEventListener("forget", () => (chosen = -1));
  }
}

/**
 * Return the button of a cell, which the page brings as plain text.
 *
 * @param {HTMLTableCellElement} cell
 */
function buttonOf(cell) {
  const found = cell.querySelector("button");
  if (found) {
    return found;
  }
  const button = make("button", { type: "button" }, cell.textContent ?? "");
  button.style.cssText = cell.style.cssText;
  button.setAttribute("aria-pressed", "false");
  cell.style.cssText = "";
  cell.replaceChildren(button);
  return button;
}

/**
 * @param {HTMLButtonElement} button
 * @param {number} score
 * @param {string} title
 */
function paint(button, score, title) {
  Object.assign(button.style, scoreColour(score));
  button.textContent = decimal(score);
  button.ariaLabel = button.title = `${title}: ${decimal(score)}`;
}

/**
 * Show the two vectors of a cell, their products, and how the products add up to the cosine.
 *
 * @param {string} text
 * @param {Float32Array} vector
 * @param {Drawing} drawing
 */
function explain(text, vector, { caption, features }) {
  const products = vector.map((value, i) => value * features[i]);
  const positive = products.filter((value) => value > 0);
  const negative = products.filter((value) => value < 0);
  const sum = (/** @type {Float32Array} */ values) => values.reduce((total, value) => total + value, 0);
  byId("heatmap-words", HTMLParagraphElement).textContent =
    `“${text}” and ${caption}: ${vector.length} products. ${positive.length} are positive and add up to ` +
    `${decimal(sum(positive))}, ${negative.length} are negative and add up to ${decimal(sum(negative))}. ` +
    `Together: ${decimal(sum(products))}, the number in the cell.`;
  say(byId("heatmap-words", HTMLParagraphElement).textContent ?? "");
  drawStrip(byId("heatmap-text-vector", HTMLCanvasElement), vector);
  drawStrip(byId("heatmap-image-vector", HTMLCanvasElement), features);
  drawStrip(byId("heatmap-products", HTMLCanvasElement), products);
  drawSum(byId("heatmap-sum", HTMLCanvasElement), products);
  byId("heatmap-detail", HTMLDivElement).hidden = false;
}

/**
 * Draw one column for each value of a vector.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {Float32Array} values
 */
function drawStrip(canvas, values) {
  const context = sized(canvas, values.length, HEIGHT);
  const most = Math.max(...values.map(Math.abs));
  values.forEach((value, i) => {
    const [red, green, blue, opacity] = signedColour(value / most);
    context.fillStyle = `rgb(${red} ${green} ${blue} / ${opacity / 255})`;
    context.fillRect(i, 0, 1, HEIGHT);
  });
}

/**
 * Draw the running sum of the products, from 0 on the left to the cosine on the right.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {Float32Array} products
 */
function drawSum(canvas, products) {
  const height = 3 * HEIGHT;
  const context = sized(canvas, products.length, height);
  let total = 0;
  const sums = Array.from(products, (value) => (total += value));
  const [low, high] = [Math.min(0, ...sums), Math.max(0, ...sums)];
  const y = (/** @type {number} */ value) => 2 + ((high - value) / (high - low)) * (height - 4);
  context.strokeStyle = "#888";
  context.beginPath();
  context.moveTo(0, y(0));
  context.lineTo(products.length, y(0));
  context.stroke();
  context.strokeStyle = "#e67800";
  context.lineWidth = 2;
  context.beginPath();
  context.moveTo(0, y(0));
  sums.forEach((sum, i) => context.lineTo(i + 1, y(sum)));
  context.stroke();
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 */
function sized(canvas, width, height) {
  Object.assign(canvas, { width, height });
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
}
