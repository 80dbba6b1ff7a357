// Byte pair encoding, as clip's simple_tokenizer does it.

import { clean } from "./clean.js";

const LONGEST_TEXT = 10_000; // characters; a word of so many takes a second
const CONTEXT_LENGTH = 77;
const START = "<|startoftext|>";
const END = "<|endoftext|>";
// clip's pattern ignores case. In a text of lower case that adds the long s, and drops U+0345, which is half a letter.
const WORD =
  /<\|startoftext\|>|<\|endoftext\|>|'[sſ]|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\p{White_Space}\p{L}\p{N}\u0345]+/gu;

/** The visible character that stands for each byte, so that a merge is two words in a line of text. */
const CHARACTER = bytesToCharacters();

export class Tokenizer {
  /**
   * @param {string} merges  the pairs of clip's vocabulary, one a line, in their order
   * @param {import("./clean.js").Entities} entities  content of Python's html.entities.html5
   */
  constructor(merges, entities = {}) {
    const pairs = merges.split("\n");
    const letters = [...CHARACTER].sort(byKind);
    const joined = pairs.map((pair) => pair.replace(" ", ""));
    const words = [...letters, ...letters.map((letter) => `${letter}</w>`), ...joined, START, END];
    this.entities = entities;
    /** Each pair's rank: the lowest is merged first. */
    this.rank = new Map(pairs.map((pair, i) => [pair, i]));
    this.number = new Map(words.map((word, i) => [word, i]));
    /** @type {Map<string, number[]>} */
    this.cache = new Map([START, END].map((word) => [word, [this.numberOf(word)]]));
  }

  /**
   * Return the tokens of a text, with start and end token.
   *
   * @param {string} text
   * @returns {number[]}
   * @throws {RangeError} the text is too long, or contains the end token
   */
  encode(text) {
    if (text.length > LONGEST_TEXT) {
      throw new RangeError(`Expected a text of at most ${LONGEST_TEXT} characters; got ${text.length}. Shorten it.`);
    }
    /** @type {string[]} */
    const words = clean(text, this.entities).toLowerCase().match(WORD) ?? [];
    if (words.includes(END)) {
      throw new RangeError(`Expected a text without ${END}, after which CLIP reads nothing. Leave it out.`);
    }
    const tokens = [START, ...words, END].flatMap((word) => this.tokensOf(word));
    if (tokens.length > CONTEXT_LENGTH) {
      throw new RangeError(
        `Expected a text of at most ${CONTEXT_LENGTH} tokens; got ${tokens.length} with its start and end. Shorten it.`,
      );
    }
    return tokens;
  }

  /**
   * @param {string} word
   * @returns {number[]}
   */
  tokensOf(word) {
    let tokens = this.cache.get(word);
    if (!tokens) {
      const letters = [...new TextEncoder().encode(word)].map((byte) => CHARACTER[byte]);
      letters[letters.length - 1] += "</w>";
      tokens = this.merge(letters).map((part) => this.numberOf(part));
      this.cache.set(word, tokens);
    }
    return tokens;
  }

  /**
   * Merge the pair of lowest rank wherever it occurs, until no pair is in the list.
   *
   * @param {string[]} parts
   * @returns {string[]}
   */
  merge(parts) {
    for (;;) {
      let best = Infinity;
      for (let i = 1; i < parts.length; i++) {
        best = Math.min(best, this.rankOf(parts[i - 1], parts[i]));
      }
      if (best === Infinity) {
        return parts;
      }
      const merged = [];
      for (let i = 0; i < parts.length; i++) {
        const isPair = i + 1 < parts.length && this.rankOf(parts[i], parts[i + 1]) === best;
        merged.push(isPair ? parts[i] + parts[++i] : parts[i]);
      }
      parts = merged;
    }
  }

  /**
   * @param {string} left
   * @param {string} right
   */
  rankOf(left, right) {
    return this.rank.get(`${left} ${right}`) ?? Infinity;
  }

  /** @param {string} part */
  numberOf(part) {
    const number = this.number.get(part);
    if (number === undefined) {
      throw new Error(`Expected clip's list of merges; it has no ${part}. Build the page again.`);
    }
    return number;
  }
}

/** Bytes that print as they are keep their character; the others take those from 256 on. */
function bytesToCharacters() {
  let others = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const prints = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    return String.fromCharCode(prints ? byte : others++);
  });
}

/**
 * Sort the characters as clip's vocabulary has them: by code, which puts the bytes that do not print last.
 *
 * @param {string} a
 * @param {string} b
 */
function byKind(a, b) {
  return a.charCodeAt(0) - b.charCodeAt(0);
}
