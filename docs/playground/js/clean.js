// What clip does to a text before it looks for words: ftfy.fix_text, then html.unescape twice.
//
// Of ftfy this leaves out one thing: the search for UTF-8 that was read in another encoding ("cafÃ©" stays as it is).

/** @typedef {Record<string, string>} Entities  names after the "&", most with ";", and the characters they mean */

const REFERENCE = /&(#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)/g;
const WINDOWS_1252 = new TextDecoder("windows-1252");

/** What ftfy replaces, in its order. @type {[RegExp, string | ((found: string) => string)][]} */
const FIXES = [
  [/[\x80-\x9f]/g, fromWindows],
  [/ﬅ/g, "ſt"],
  [/[Ĳĳŉ\u01c4-\u01cc\u01f1-\u01f3ﬀ-ﬆ]/g, (ligature) => ligature.normalize("NFKC")],
  [/[\u3000\uff01-\uffef]/g, (wide) => wide.normalize("NFKC")],
  [/[\u201c-\u201f]/g, '"'],
  [/[\u02bc\u2018-\u201b]/g, "'"],
  [/\r\n|[\r\u2028\u2029\x85]/g, "\n"],
  [/\x1b\[[\p{Nd};]*[a-zA-Z]/gu, ""],
  [/[\0-\x08\x0b\x0e-\x1f\x7f\u206a-\u206f\ufeff\ufff9-\ufffc]/g, ""],
];

/**
 * Clean a text as clip does.
 *
 * @param {string} text
 * @param {Entities} entities
 * @returns {string}
 */
export function clean(text, entities) {
  let isHtml = false; // from the first line with a "<" on, ftfy takes entities for meant
  const lines = text.split(/(?<=\n)/).map((line) => {
    isHtml ||= line.includes("<");
    return fixLine(line, entities, isHtml);
  });
  return unescape(unescape(lines.join(""), entities), entities);
}

/**
 * Fix one line until nothing changes any more.
 *
 * @param {string} line
 * @param {Entities} entities
 * @param {boolean} isHtml
 */
function fixLine(line, entities, isHtml) {
  for (let before = ""; line !== before; ) {
    before = line;
    if (!isHtml) {
      line = line.replace(/&#?[0-9A-Za-z]{1,24};/g, (found) => unescapeCarefully(found, entities));
    }
    for (const [pattern, replacement] of FIXES) {
      line = line.replace(pattern, /** @type {string} */ (replacement));
    }
    line = line.normalize("NFC");
  }
  return line;
}

/**
 * Resolve an entity that ends in a semicolon as ftfy does: "&EACUTE;" is "É", too.
 *
 * @param {string} found
 * @param {Entities} entities
 */
function unescapeCarefully(found, entities) {
  const name = found.slice(1);
  if (Object.hasOwn(entities, name)) {
    return entities[name];
  }
  const meant = unescape(found, entities);
  if (name.startsWith("#")) {
    return meant.includes(";") ? found : meant;
  }
  const lower = name.toLowerCase();
  const isUpper = name === name.toUpperCase() && Object.hasOwn(entities, lower) && meant === found;
  return isUpper ? entities[lower].toUpperCase() : found;
}

/**
 * Resolve character references as Python's html.unescape does.
 *
 * @param {string} text
 * @param {Entities} entities
 */
function unescape(text, entities) {
  return text.replace(REFERENCE, (found, /** @type {string} */ name) => {
    if (name.startsWith("#")) {
      return fromNumber(/^#x/i.test(name) ? parseInt(name.slice(2), 16) : parseInt(name.slice(1), 10));
    }
    const points = [...name];
    for (let length = points.length; length > 1; length--) {
      const known = points.slice(0, length).join("");
      if (Object.hasOwn(entities, known)) {
        return entities[known] + name.slice(known.length);
      }
    }
    return found;
  });
}

/**
 * @param {number} code
 * @returns {string}
 */
function fromNumber(code) {
  if (code >= 0x80 && code <= 0x9f) {
    return fromWindows(String.fromCharCode(code));
  }
  if (code === 0 || (code >= 0xd800 && code <= 0xdfff) || code > 0x10ffff) {
    return "\ufffd";
  }
  const isInvalid =
    code <= 8 || code === 0xb || (code >= 0xe && code <= 0x1f) || code === 0x7f ||
    (code >= 0xfdd0 && code <= 0xfdef) || (code & 0xfffe) === 0xfffe;
  return isInvalid ? "" : String.fromCodePoint(code);
}

/**
 * Read a control character between 0x80 and 0x9f as Windows would.
 *
 * @param {string} control
 */
function fromWindows(control) {
  return WINDOWS_1252.decode(Uint8Array.of(control.charCodeAt(0)));
}
