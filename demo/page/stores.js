// What this browser keeps of one's work, in IndexedDB: "work" (a record for each thing that was opened), "files" (what was
// opened itself), "queues" (files in a row) and "results" (what was taken home of each).

const KEPT = { works: 20, fileBytes: 256 * 2 ** 20, allBytes: 2 ** 30 };

const stores = {
  opened: null,

  open() {
    stores.opened ??= new Promise((resolve, reject) => {
      const asked = indexedDB.open("lite-medsam", 1);
      asked.onupgradeneeded = () => {
        for (const name of ["work", "files", "queues", "results"]) asked.result.createObjectStore(name, { keyPath: "id" });
      };
      asked.onsuccess = () => resolve(asked.result);
      asked.onerror = () => reject(asked.error);
      asked.onblocked = () => reject(new Error("another page holds an older version"));
    });
    return stores.opened;
  },

  async run(name, mode, ask) {
    const base = await stores.open();
    return new Promise((resolve, reject) => {
      const step = base.transaction(name, mode);
      const asked = ask(step.objectStore(name));
      step.oncomplete = () => resolve(asked.result);
      step.onerror = step.onabort = () => reject(step.error);
    });
  },

  put: (name, value) => stores.run(name, "readwrite", (store) => store.put(value)),
  get: (name, id) => stores.run(name, "readonly", (store) => store.get(id)),
  all: (name) => stores.run(name, "readonly", (store) => store.getAll()),
  remove: (name, id) => stores.run(name, "readwrite", (store) => store.delete(id)),
};

const PACKED_ALREADY = /\.(gz|zip|npz|png|jpe?g|webp|gif)$/i;
const PACK_FROM_BYTES = 4 * 2 ** 20;

// a file for the store; large ones that are not packed are
const toKeep = async (file) => {
  const kept = { name: pathOf(file), type: file.type, packed: false, blob: file };
  if (file.size < PACK_FROM_BYTES || PACKED_ALREADY.test(file.name) || !window.CompressionStream) return kept;
  const blob = await new Response(file.stream().pipeThrough(new CompressionStream("gzip"))).blob();
  return { ...kept, packed: true, blob };
};

const fromKept = async ({ name, type, packed, blob }) => {
  const plain = packed ? await new Response(blob.stream().pipeThrough(new DecompressionStream("gzip"))).blob() : blob;
  return withPath(new File([plain], name.split("/").pop(), { type }), name);
};

// the path below the folder that was dropped, where there was one
const paths = new WeakMap();
const withPath = (file, path) => { paths.set(file, path); return file; };
const pathOf = (file) => paths.get(file) || file.webkitRelativePath || file.name;

// [{ name, bytes or blob }] as a ZIP that stores them as they are
const zipOf = async (members) => {
  const table = Uint32Array.from({ length: 256 }, (_, n) => {
    for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
    return n >>> 0;
  });
  const checksum = (bytes) => {
    let crc = 0xffffffff;
    for (let i = 0; i < bytes.length; i++) crc = table[(crc ^ bytes[i]) & 0xff] ^ (crc >>> 8);
    return (crc ^ 0xffffffff) >>> 0;
  };
  const numbers = (pairs) => { // [[value, bytes], ...], little end first
    const view = new DataView(new ArrayBuffer(pairs.reduce((sum, [, size]) => sum + size, 0)));
    let at = 0;
    for (const [value, size] of pairs) {
      if (size === 2) view.setUint16(at, value, true);
      else view.setUint32(at, value, true);
      at += size;
    }
    return view.buffer;
  };
  const parts = [];
  const directory = [];
  let at = 0;
  for (const { name, data } of members) {
    const label = new TextEncoder().encode(name);
    const bytes = data instanceof Uint8Array ? data : new Uint8Array(await data.arrayBuffer());
    const about = [[20, 2], [0x0800, 2], [0, 2], [0, 2], [0x21, 2], [checksum(bytes), 4], [bytes.length, 4], [bytes.length, 4],
      [label.length, 2], [0, 2]]; // version, names in UTF-8, stored, the day of 1980-01-01
    parts.push(numbers([[0x04034b50, 4], ...about]), label, bytes);
    directory.push(numbers([[0x02014b50, 4], [20, 2], ...about, [0, 2], [0, 2], [0, 2], [0, 4], [at, 4]]), label);
    at += 30 + label.length + bytes.length;
  }
  const size = directory.reduce((sum, part) => sum + part.byteLength, 0);
  return new Blob([...parts, ...directory,
    numbers([[0x06054b50, 4], [0, 2], [0, 2], [members.length, 2], [members.length, 2], [size, 4], [at, 4], [0, 2]])]);
};
