// Decode image files as helpers.open_image does: upright, and without colour management.

const MOST_PIXELS = 50e6; // as many as a telephone takes; a page with more of them in memory would stand still

/**
 * @param {Blob} file
 * @returns {Promise<ImageData>}
 * @throws {Error} the browser cannot read it, or it is too large
 */
export async function decode(file) {
  const pixels = await pixelsIn(file);
  if (pixels > MOST_PIXELS) {
    throw new Error(`Expected an image of at most 50 megapixels; got ${Math.round(pixels / 1e6)}. Make it smaller first.`);
  }
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch {
    throw new Error("Expected an image that this browser can read, such as PNG, JPEG or WebP. Choose another file.");
  }
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) {
    throw new Error("Expected a canvas to read the pixels from; the browser gave none. Close other tabs.");
  }
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/**
 * Return the number of pixels, from the head of a file alone; 0 if the browser cannot tell.
 *
 * @param {Blob} file
 * @returns {Promise<number>}
 */
function pixelsIn(file) {
  const image = new Image();
  return new Promise((resolve) => {
    image.onload = () => resolve(image.naturalWidth * image.naturalHeight);
    image.onerror = () => resolve(0);
    image.src = URL.createObjectURL(file);
  }).finally(() => URL.revokeObjectURL(image.src));
}
