// The playground: load the model, say how far that is, and bring the panels to life.

import { Clip } from "./clip.js";
import { loadDrawings } from "./data.js";
import { byId } from "./dom.js";
import { draw } from "./panels/draw.js";
import { heatmap } from "./panels/heatmap.js";
import { own } from "./panels/own.js";
import { search } from "./panels/search.js";
import { temperature } from "./panels/temperature.js";
import { why } from "./panels/why.js";

const BASE = new URL("../", import.meta.url);
const page = byId("try-clip", HTMLDivElement);
const status = byId("status-text", HTMLSpanElement);
const progress = byId("status-progress", HTMLProgressElement);

/** @param {import("./clip.js").Progress} now */
function showProgress({ loaded, total, what }) {
  if (page.dataset.state === "failed") {
    return;
  }
  progress.hidden = false;
  progress.value = loaded / total;
  const works = what === "image encoder" ? "Texts work already." : "What you see are saved results.";
  status.textContent = `Loading the model: ${megabytes(loaded)} of ${megabytes(total)} MB. ${works}`;
}

/** @param {number} bytes */
function megabytes(bytes) {
  return (bytes / 1e6).toFixed(1);
}

async function start() {
  const [clip, drawings] = await Promise.all([Clip.load(BASE, showProgress), loadDrawings(BASE)]);
  search(clip, drawings);
  draw(clip, drawings);
  own(clip, drawings, why(clip, drawings));
  temperature(clip, drawings);
  heatmap(clip, drawings);
  await Promise.all([clip.ready.texts, clip.ready.images]);
  progress.hidden = true;
  status.textContent = "The model runs in this tab. What you type, draw or drop stays on your machine.";
  page.dataset.state = "ready";
}

start().catch((error) => {
  page.dataset.state = "failed";
  progress.hidden = true;
  status.textContent = `${error.message} What you see are saved results.`;
});
