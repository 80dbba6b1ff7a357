// Draw: a canvas, and the captions that fit what is on it. Works with a mouse, a finger, and arrow keys.

import { fillMenu, pixelsOf } from "../data.js";
import { byId, newest } from "../dom.js";
import { captions } from "./captions.js";

/** @typedef {import("../clip.js").Clip} Clip */
/** @typedef {import("../data.js").Drawing} Drawing */
/** @typedef {{x: number, y: number}} Point */

const STEP = 8; // pixels that an arrow key moves the pen
const UNDOS = 30;

/**
 * @param {Clip} clip
 * @param {Drawing[]} drawings
 */
export function draw(clip, drawings) {
  const canvas = byId("draw-canvas", HTMLCanvasElement);
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
  const colour = byId("draw-colour", HTMLInputElement);
  const size = byId("draw-size", HTMLInputElement);
  const start = byId("draw-start", HTMLSelectElement);
  const cursor = byId("draw-cursor", HTMLSpanElement);
  const best = byId("draw-best", HTMLParagraphElement);
  const undo = byId("draw-undo", HTMLButtonElement);
  const show = captions(clip, drawings, "draw", (text) => (best.textContent = text));
  const changed = () => show(context.getImageData(0, 0, canvas.width, canvas.height));

  /** @type {ImageData[]} */
  const before = [];
  const remember = () => {
    before.push(context.getImageData(0, 0, canvas.width, canvas.height));
    before.splice(0, before.length - UNDOS);
    undo.disabled = false;
  };
  const clear = () => {
    context.fillStyle = "#fff";
    context.fillRect(0, 0, canvas.width, canvas.height);
  };
  const line = (/** @type {Point} */ from, /** @type {Point} */ to) => {
    Object.assign(context, { strokeStyle: colour.value, lineWidth: Number(size.value), lineCap: "round" });
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(to.x, to.y);
    context.stroke();
    changed();
  };
  const startFrom = newest(byId("draw-problem", HTMLParagraphElement), async () => {
    const drawing = drawings.find(({ name }) => name === start.value);
    const pixels = drawing && (await pixelsOf(drawing));
    remember();
    if (pixels) {
      context.putImageData(pixels, 0, 0);
    } else {
      clear();
    }
    changed();
  });
  const takeBack = () => {
    const last = before.pop();
    undo.disabled = !before.length;
    if (last) {
      context.putImageData(last, 0, 0);
      changed();
    }
  };

  listenToPointer(canvas, remember, line);
  listenToKeys(canvas, cursor, remember, line);
  byId("draw-clear", HTMLButtonElement).addEventListener("click", () => {
    remember();
    clear();
    start.value = "";
    changed();
  });
  undo.addEventListener("click", takeBack);
  canvas.addEventListener("keydown", (event) => {
    if (event.key === "z" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      takeBack();
    }
  });
  fillMenu(start, drawings, "house");
  start.prepend(new Option("an empty sheet", ""));
  start.addEventListener("change", () => startFrom());
  byId("draw-example", HTMLImageElement).hidden = true;
  byId("draw-sheet", HTMLDivElement).hidden = false;
  startFrom();
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {() => void} begin
 * @param {(from: Point, to: Point) => void} line
 */
function listenToPointer(canvas, begin, line) {
  /** @type {Point | undefined} */
  let last;
  const place = (/** @type {PointerEvent} */ event) => ({
    x: (event.offsetX * canvas.width) / canvas.clientWidth,
    y: (event.offsetY * canvas.height) / canvas.clientHeight,
  });
  canvas.addEventListener("pointerdown", (event) => {
    if (!event.isPrimary || event.button) {
      return; // a second finger, or another button
    }
    canvas.setPointerCapture(event.pointerId);
    begin();
    last = place(event);
    line(last, last);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (last && event.isPrimary) {
      const next = place(event);
      line(last, next);
      last = next;
    }
  });
  for (const end of /** @type {const} */ (["pointerup", "pointercancel"])) {
    canvas.addEventListener(end, () => (last = undefined));
  }
}

/**
 * Arrow keys move the pen, the space bar lowers or lifts it.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {HTMLElement} cursor  is placed where the pen is
 * @param {() => void} begin
 * @param {(from: Point, to: Point) => void} line
 */
function listenToKeys(canvas, cursor, begin, line) {
  const pen = { x: canvas.width / 2, y: canvas.height / 2 };
  let isDown = false;
  const show = () => {
    cursor.hidden = document.activeElement !== canvas || !canvas.matches(":focus-visible");
    cursor.style.left = `${(100 * pen.x) / canvas.width}%`;
    cursor.style.top = `${(100 * pen.y) / canvas.height}%`;
    cursor.classList.toggle("down", isDown);
  };
  canvas.addEventListener("keydown", (event) => {
    /** @type {Record<string, [number, number]>} */
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const move = moves[event.key];
    if (move) {
      const from = { ...pen };
      pen.x = Math.max(0, Math.min(canvas.width, pen.x + STEP * move[0]));
      pen.y = Math.max(0, Math.min(canvas.height, pen.y + STEP * move[1]));
      if (isDown) {
        line(from, pen);
      }
    } else if (event.key === " ") {
      isDown = !isDown;
      if (isDown) {
        begin();
        line(pen, pen);
      }
    } else {
      return;
    }
    event.preventDefault();
    show();
  });
  canvas.addEventListener("focus", show);
  canvas.addEventListener("blur", () => {
    isDown = false;
    show();
  });
}
