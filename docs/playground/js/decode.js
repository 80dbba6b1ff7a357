// Decode image files as helpers.open_image does: upright, and without colour management.

/**
 * @param {Blob} file
 * @returns {Promise<ImageData>}
 * @throws {Error} the browser cannot read it
 */
export async function decode(file) {
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
