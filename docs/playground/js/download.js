// Download files and unpack them.

/**
 * @param {string} address
 * @param {(bytes: number) => void} [onProgress]  called with the number of bytes that have come
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 * @throws {Error} the file cannot be had
 */
export async function fetchBytes(address, onProgress = () => {}) {
  const file = address.slice(address.lastIndexOf("/") + 1);
  let response;
  const chunks = [];
  try {
    response = await fetch(address);
    if (response.ok && response.body) {
      const reader = response.body.getReader();
      let bytes = 0;
      for (let { done, value } = await reader.read(); !done && value; { done, value } = await reader.read()) {
        chunks.push(value);
        onProgress((bytes += value.length));
      }
    }
  } catch {
    throw new Error(`Expected the file ${file}; the connection broke. Reload the page.`);
  }
  if (!response.ok) {
    throw new Error(`Expected the file ${file}; the server answered ${response.status}. Reload the page.`);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

/**
 * Unpack gzipped bytes. A server that declares the compression had the browser unpack them already: they stay.
 *
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export async function gunzip(bytes) {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) {
    return bytes;
  }
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(unpacked).arrayBuffer());
}
