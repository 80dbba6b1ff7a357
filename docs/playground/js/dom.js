// What all panels share: elements, bars, and one request at a time.

/** @typedef {{label: string, value: number, note?: string}} Bar  a value from -1 to 1, and what is written behind it */

/**
 * Return the element of the page that has this id.
 *
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} kind  such as HTMLInputElement
 * @returns {T}
 */
export function byId(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) {
    throw new Error(`Expected the page to have a ${kind.name} #${id}; got ${found}. Build the site again.`);
  }
  return found;
}

/**
 * Make an element.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Partial<HTMLElementTagNameMap[Tag]> | Record<string, unknown>} properties
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/**
 * Fill a list with bars.
 *
 * @param {HTMLElement} list
 * @param {Bar[]} bars
 */
export function showBars(list, bars) {
  list.replaceChildren(
    ...bars.map(({ label, value, note }) => {
      const bar = make("span", { className: value < 0 ? "bar negative" : "bar" });
      const length = list.classList.contains("signed") ? Math.abs(value) : Math.max(0, value);
      bar.style.setProperty("--value", String(Math.min(1, length)));
      return make("li", {}, make("span", { className: "label" }, label), bar, make("b", {}, note ?? percent(value)));
    }),
  );
}

/**
 * Run `work` for the newest values: while it runs, only the last call waits. An error is shown in the element.
 *
 * @template {unknown[]} Values
 * @param {HTMLElement} message  where an error is shown
 * @param {(...values: Values) => Promise<void>} work
 * @returns {(...values: Values) => Promise<void>}
 */
export function newest(message, work) {
  /** @type {Values | undefined} */
  let waiting;
  let isRunning = false;
  return async (...values) => {
    waiting = values;
    while (waiting && !isRunning) {
      const next = waiting;
      waiting = undefined;
      isRunning = true;
      try {
        await work(...next);
        message.textContent = "";
      } catch (error) {
        message.textContent = error instanceof Error ? error.message : String(error);
      }
      isRunning = false;
    }
  };
}

/**
 * Write a probability; none is called 0 or 100 %.
 *
 * @param {number} probability
 */
export function percent(probability) {
  const rounded = Math.round(100 * probability);
  return rounded < 1 ? "< 1 %" : rounded > 99 ? "> 99 %" : `${rounded} %`;
}

let speaking = 0;

/**
 * Tell a screen reader, once the reader has stopped typing or drawing.
 *
 * @param {string} text
 */
export function say(text) {
  clearTimeout(speaking);
  speaking = window.setTimeout(() => (byId("spoken", HTMLParagraphElement).textContent = text), 600);
}

/**
 * Return a text that can be encoded.
 *
 * @param {string} typed
 * @throws {Error} there is none
 */
export function required(typed) {
  if (!typed.trim()) {
    throw new Error("Type a word or two.");
  }
  return typed;
}

/** @param {number} value  with a true minus sign, and without "−0.00" */
export function decimal(value, digits = 2) {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
}

/**
 * Split what was typed at commas.
 *
 * @param {string} typed
 */
export function listed(typed) {
  return typed
    .split(",")
    .map((text) => text.trim())
    .filter(Boolean);
}
