// Colours of values: one hue for scores, two for signed values. `scoreColour` is also written in page.py.

const LOWEST = -0.1; // below this, a cosine of `tiny` is as dark as it gets
const HIGHEST = 0.6;
const DARK = 0.44; // below this part of the scale, white is read more easily than black
/** viridis at equal steps */
const VIRIDIS = [
  [68, 1, 84],
  [71, 44, 122],
  [59, 81, 139],
  [44, 113, 142],
  [33, 144, 141],
  [39, 173, 129],
  [92, 200, 99],
  [170, 220, 50],
  [253, 231, 37],
];

/**
 * Return the colour of a cosine, and a colour that can be read on it.
 *
 * @param {number} cosine
 * @returns {{background: string, color: string}}
 */
export function scoreColour(cosine) {
  const place = Math.max(0, Math.min(1, (cosine - LOWEST) / (HIGHEST - LOWEST))) * (VIRIDIS.length - 1);
  const below = Math.min(Math.floor(place), VIRIDIS.length - 2);
  const part = place - below;
  const rgb = VIRIDIS[below].map((value, i) => Math.round(value + part * (VIRIDIS[below + 1][i] - value)));
  return { background: `rgb(${rgb.join(" ")})`, color: place > DARK * (VIRIDIS.length - 1) ? "#000" : "#fff" };
}

/**
 * Return the colour of a signed value: orange for positive, blue for negative, clear for zero.
 *
 * @param {number} value  from -1 to 1
 * @returns {[number, number, number, number]}  red, green, blue, opacity from 0 to 255
 */
export function signedColour(value) {
  const opacity = Math.round(230 * Math.min(1, Math.abs(value)));
  return value < 0 ? [0, 114, 178, opacity] : [230, 120, 0, opacity];
}
