// CLIP for a page: `const clip = await Clip.load("./"); const [vector] = await clip.encodeTexts(["a cat"]);`

/** @typedef {{loaded: number, total: number, what: string}} Progress  bytes, and what is being loaded */
/** @typedef {{signal?: AbortSignal}} Options  a signal that drops the request if it has not been answered yet */
/** @typedef {{resolve: (value: any) => void, reject: (reason: unknown) => void}} Promised */

/** A WebAssembly module with one function, which returns a vector of 128 bits. */
const SIMD = Uint8Array.of(
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11],
);

export class Clip {
  /**
   * Load the model in a worker. Requests may be made at once; they wait for what they need.
   *
   * @param {URL | string} base  folder with the model's files
   * @param {(progress: Progress) => void} [onProgress]
   * @returns {Promise<Clip>}
   * @throws {Error} this browser lacks what the model needs, or the first file cannot be had
   */
  static async load(base, onProgress = () => {}) {
    const missing = whatIsMissing();
    if (missing) {
      throw new Error(`Expected a browser with ${missing}; this one is too old. Update it.`);
    }
    const clip = new Clip(new URL(base, document.baseURI), onProgress);
    await clip.started.promise;
    return clip;
  }

  /**
   * @private  use `Clip.load`
   * @param {URL} base
   * @param {(progress: Progress) => void} onProgress
   */
  constructor(base, onProgress) {
    /** What similarities are multiplied by before the softmax, as the model learned it; known once it is loaded. */
    this.logitScale = NaN;
    this.started = promised();
    const texts = promised();
    const images = promised();
    for (const { promise } of [this.started, texts, images]) {
      promise.catch(() => {}); // a page that does not wait for one of them hears of it elsewhere
    }
    /** When texts, and when images can be encoded. @type {{texts: Promise<void>, images: Promise<void>}} */
    this.ready = { texts: texts.promise, images: images.promise };
    this.count = 0;
    /** Requests without an answer yet. @type {Map<number, Promised>} */
    this.open = new Map();
    /** @type {Error | undefined} */
    this.failure = undefined;

    const fail = (/** @type {Error} */ error) => {
      this.failure = error;
      [this.started, texts, images, ...this.open.values()].forEach(({ reject }) => reject(error));
      this.open.clear();
    };
    this.worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    this.worker.onerror = () => fail(new Error("Expected the model's worker to start; it failed. Reload the page."));
    this.worker.onmessage = ({ data }) => {
      if (data.manifest) {
        this.logitScale = data.manifest.logitScale;
        this.started.resolve(undefined);
      } else if (data.total) {
        onProgress(data);
      } else if (data.ready) {
        (data.ready === "texts" ? texts : images).resolve(undefined);
      } else if (data.imagesFailed) {
        images.reject(data.imagesFailed);
      } else if (data.failed) {
        fail(data.failed);
      } else {
        this.settle(data);
      }
    };
    this.worker.postMessage({ load: base.href.replace(/\/*$/, "/") });
  }

  /**
   * Encode texts.
   *
   * @param {string[]} texts
   * @param {Options} [options]
   * @returns {Promise<Float32Array[]>}  each of length 1
   * @throws {RangeError} a text is too long
   */
  encodeTexts(texts, options) {
    return this.ask("texts", texts, options);
  }

  /**
   * Encode images.
   *
   * @param {ImageData[]} images
   * @param {Options} [options]
   * @returns {Promise<Float32Array[]>}  each of length 1
   */
  encodeImages(images, options) {
    return this.ask("images", images, options);
  }

  /**
   * Return what the image encoder sees of each image: a small square, without transparency.
   *
   * @param {ImageData[]} images
   * @returns {Promise<ImageData[]>}
   */
  squares(images) {
    return this.ask("squares", images);
  }

  /**
   * Return the tokens of a text, with start and end token.
   *
   * @param {string} text
   * @returns {Promise<number[]>}
   * @throws {RangeError} the text is too long
   */
  async tokens(text) {
    const [tokens] = await this.ask("tokens", [text]);
    return tokens;
  }

  /**
   * @private
   * @param {"texts" | "images" | "squares" | "tokens"} kind
   * @param {string[] | ImageData[]} items
   * @param {Options} [options]
   * @returns {Promise<any>}
   */
  ask(kind, items, { signal } = {}) {
    if (this.failure) {
      return Promise.reject(this.failure);
    }
    if (signal?.aborted) {
      return Promise.reject(superseded());
    }
    const id = this.count++;
    const request = promised();
    this.open.set(id, request);
    const drop = () => {
      if (this.open.has(id)) {
        this.worker.postMessage({ drop: id });
        this.settle({ id, error: superseded() });
      }
    };
    signal?.addEventListener("abort", drop, { once: true });
    this.worker.postMessage({ id, kind, items });
    return request.promise;
  }

  /**
   * @private
   * @param {{id: number, result?: unknown, error?: unknown}} answer
   */
  settle({ id, result, error }) {
    const request = this.open.get(id);
    this.open.delete(id);
    if (error) {
      request?.reject(error);
    } else {
      request?.resolve(result);
    }
  }
}

/**
 * Return the cosine of two vectors of length 1, which is their dot product.
 *
 * @param {Float32Array} a
 * @param {Float32Array} b
 */
export function cosine(a, b) {
  return a.reduce((sum, value, i) => sum + value * b[i], 0);
}

/**
 * Return the probabilities that belong to similarities.
 *
 * @param {ArrayLike<number>} values
 * @param {number} scale  what they are multiplied by: `clip.logitScale`
 * @returns {number[]}
 */
export function softmax(values, scale) {
  const highest = Math.max(...Array.from(values));
  const raised = Array.from(values, (value) => Math.exp(scale * (value - highest)));
  const sum = raised.reduce((total, value) => total + value);
  return raised.map((value) => value / sum);
}

/** @returns {string}  what this browser lacks, or nothing */
function whatIsMissing() {
  if (!globalThis.WebAssembly?.validate(SIMD)) {
    return "WebAssembly SIMD";
  }
  if (!("DecompressionStream" in globalThis)) {
    return "DecompressionStream";
  }
  if (!("Worker" in globalThis)) {
    return "module workers";
  }
  let areModulesKnown = false;
  const options = {
    /** Only a browser that knows module workers asks for this. */
    get type() {
      areModulesKnown = true;
      return undefined;
    },
  };
  const empty = URL.createObjectURL(new Blob([]));
  new Worker(empty, options).terminate();
  URL.revokeObjectURL(empty);
  return areModulesKnown ? "" : "module workers";
}

/** @returns {Promised & {promise: Promise<any>}} */
function promised() {
  /** @type {any} */
  let functions;
  const promise = new Promise((...given) => (functions = given));
  const [resolve, reject] = functions;
  return { promise, resolve, reject };
}

function superseded() {
  return new DOMException("This request was superseded.", "AbortError");
}
