// The worker that holds the model, so that the page stays responsive while it computes. js/clip.js talks to it.

import { fetchBytes, gunzip } from "./download.js";
import { preprocess, squareOf } from "./preprocess.js";
import { Tokenizer } from "./tokenizer.js";

/** @typedef {import("onnxruntime-web")} Runtime */
/** @typedef {import("onnxruntime-web").InferenceSession} Session */
/** @typedef {{size: number, logitScale: number, files: Record<string, number>}} Manifest  content of model.json */
/** @typedef {{id: number, kind: "texts" | "tokens", items: string[]}} TextRequest */
/** @typedef {{id: number, kind: "images", items: ImageData[]}} ImageRequest */
/** @typedef {{id: number, kind: "squares", items: ImageData[]}} SquareRequest */
/** @typedef {TextRequest | ImageRequest | SquareRequest} Request */
/** @typedef {{load: string} | {drop: number} | Request} Message  what a page sends */

const BATCH = 16; // items per run: more are no faster, and only between two runs can a request be dropped

/**
 * What has been loaded, and which requests it answers.
 *
 * @type {{runtime?: Runtime, squares?: true, tokens?: Tokenizer, texts?: Session, images?: Session}}
 */
const loaded = {};
/** @type {Manifest} */
let manifest;
/** Requests that wait. @type {Request[]} */
let waiting = [];
/** The request that is being answered. @type {Request | undefined} */
let current;
let isDropped = false;
/** Why no image can be encoded, if so. @type {Error | undefined} */
let imagesFailed;

self.onmessage = (/** @type {MessageEvent<Message>} */ { data: message }) => {
  if ("load" in message) {
    load(message.load).catch((error) => postMessage({ failed: inWords(error) }));
  } else if ("drop" in message) {
    waiting = waiting.filter(({ id }) => id !== message.drop);
    isDropped ||= current?.id === message.drop;
  } else {
    waiting.push(message);
    work();
  }
};

/**
 * Load all that texts need, then the image encoder.
 *
 * @param {string} base  address of the folder, with a slash at its end
 */
async function load(base) {
  manifest = JSON.parse(toText(await fetchBytes(`${base}model.json`)));
  loaded.squares = true;
  postMessage({ manifest });
  const total = Object.values(manifest.files).reduce((sum, bytes) => sum + bytes, 0);
  let before = 0;
  /** @type {Promise<unknown>} */
  let previous = Promise.resolve();
  const next = (/** @type {string} */ file, /** @type {string} */ what) => {
    const onProgress = (/** @type {number} */ now) => postMessage({ loaded: before + now, total, what });
    const bytes = previous.then(() => fetchBytes(base + file, onProgress));
    previous = bytes.then(() => (before += manifest.files[file]));
    previous.catch(() => {}); // who awaits the bytes hears of it
    return bytes;
  };
  // One after the other, so that texts need not wait for the image encoder; each is unpacked while the next one comes.
  const merges = next("merges.txt.gz", "tokenizer").then(gunzip);
  const entities = next("entities.json.gz", "tokenizer").then(gunzip);
  const wasm = next("ort-wasm-simd-threaded.wasm.gz", "runtime").then(gunzip);
  const texts = next("text.onnx", "text encoder");
  const images = next("image.onnx", "image encoder");
  for (const bytes of [merges, entities, wasm, texts, images]) {
    bytes.catch(() => {});
  }

  loaded.tokens = new Tokenizer(toText(await merges), JSON.parse(toText(await entities)));
  work();
  const runtime = await import(`${base}ort.wasm.bundle.min.mjs`);
  runtime.env.wasm.numThreads = 1; // more need headers that static hosts do not send
  runtime.env.wasm.wasmBinary = (await wasm).buffer;
  loaded.runtime = runtime;
  loaded.texts = await runtime.InferenceSession.create(await texts);
  runtime.env.wasm.wasmBinary = undefined; // compiled by now; 14 MB
  postMessage({ ready: "texts" });
  work();
  try {
    loaded.images = await runtime.InferenceSession.create(await images);
    postMessage({ ready: "images" });
  } catch (error) {
    imagesFailed = inWords(error); // texts still work
    postMessage({ imagesFailed });
  }
  work();
}

/** Answer what waits, in order; a request whose encoder has not come yet lets others pass. */
async function work() {
  while (!current) {
    current = waiting.find(({ kind }) => loaded[kind] || (kind === "images" && imagesFailed));
    if (!current) {
      return;
    }
    const { id } = current;
    waiting = waiting.filter((request) => request !== current);
    isDropped = false;
    try {
      const result = await answer(current);
      postMessage({ id, result });
    } catch (error) {
      postMessage({ id, error: inWords(error) });
    }
    await nextMessages();
    current = undefined;
  }
}

/**
 * @param {Request} request
 * @returns {Promise<Float32Array[] | number[][] | ImageData[]>}
 */
async function answer(request) {
  if (request.kind === "squares") {
    return request.items.map((image) => opaque(squareOf(image, manifest.size)));
  }
  if (request.kind === "images") {
    if (imagesFailed) {
      throw imagesFailed;
    }
    return inBatches(request.items, encodeImages);
  }
  const tokens = request.items.map((text) => /** @type {Tokenizer} */ (loaded.tokens).encode(text));
  return request.kind === "tokens" ? tokens : inBatches(tokens, encodeTexts);
}

/**
 * @template T
 * @param {T[]} items
 * @param {(items: T[]) => Promise<Float32Array[]>} encode
 * @returns {Promise<Float32Array[]>}
 */
async function inBatches(items, encode) {
  const features = [];
  for (let i = 0; i < items.length && !isDropped; i += BATCH) {
    if (i > 0) {
      await nextMessages();
    }
    features.push(...(await encode(items.slice(i, i + BATCH))));
  }
  return features;
}

/**
 * @param {number[][]} tokens
 * @returns {Promise<Float32Array[]>}
 */
function encodeTexts(tokens) {
  const length = Math.max(...tokens.map((row) => row.length));
  const rows = new Int32Array(tokens.length * length); // 0 after the end token of a shorter text
  tokens.forEach((row, i) => rows.set(row, i * length));
  return run(loaded.texts, "tokens", "int32", rows, [tokens.length, length]);
}

/**
 * @param {ImageData[]} images
 * @returns {Promise<Float32Array[]>}
 */
function encodeImages(images) {
  const { size } = manifest;
  const pixels = new Float32Array(images.length * 3 * size * size);
  images.forEach((image, i) => pixels.set(preprocess(image, size), i * 3 * size * size));
  return run(loaded.images, "pixels", "float32", pixels, [images.length, 3, size, size]);
}

/**
 * @param {Session | undefined} session
 * @param {"tokens" | "pixels"} name  of the encoder's input
 * @param {"int32" | "float32"} type
 * @param {Int32Array | Float32Array} values
 * @param {number[]} shape
 * @returns {Promise<Float32Array[]>}  normalized, one for each row
 */
async function run(session, name, type, values, shape) {
  const { Tensor } = /** @type {Runtime} */ (loaded.runtime);
  const input = new Tensor(type, /** @type {Float32Array} */ (values), shape);
  const { features } = await /** @type {Session} */ (session).run({ [name]: input });
  const [rows, length] = features.dims;
  const all = /** @type {Float32Array} */ (features.data);
  return Array.from({ length: rows }, (_, i) => normalize(all.slice(i * length, (i + 1) * length)));
}

/** @param {Float32Array} vector */
function normalize(vector) {
  const norm = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  return vector.map((value) => value / norm);
}

/** Let the messages in that have come meanwhile, one of which may drop a request. A timer would wait 4 ms. */
function nextMessages() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => resolve(port1.close());
    port2.postMessage(undefined);
  });
}

/** @param {BufferSource} bytes */
function toText(bytes) {
  return new TextDecoder().decode(bytes);
}

/**
 * Keep our own errors; say in a sentence what the runtime throws, which may be a number.
 *
 * @param {unknown} error
 */
function inWords(error) {
  const isOurs = error instanceof Error && /^Expected .*\.$/s.test(error.message);
  return isOurs ? error : new Error(`Expected the model to run; it stopped (${error}). Reload the page.`);
}

/** @param {import("./resize.js").Rgb} image */
function opaque({ data, width, height }) {
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    image.data.set([...data.subarray(3 * i, 3 * i + 3), 255], 4 * i);
  }
  return image;
}
