// Reads the binary message of the scope; its layout is described in console/frames.py.

export const BINS = 1;
export const LINE = 2;
export const PULSES = 3;
const FRAME_BYTES = 16;
const SECTION_BYTES = 32;
const MAGIC = 0x3142594d; // "MYB1", little endian

/** Sections of all frames in a message, in order. Arrays are views of the message, not copies. */
export function sections(buffer) {
  const view = new DataView(buffer);
  const found = [];
  let at = 0;
  while (at < buffer.byteLength) {
    if (view.getUint32(at, true) !== MAGIC) {
      throw new Error(`no frame at byte ${at}`);
    }
    const count = view.getUint16(at + 4, true);
    const end = at + view.getUint32(at + 12, true);
    let place = at + FRAME_BYTES;
    for (let i = 0; i < count; i += 1) {
      const section = head(view, place);
      const cells = section.rows * section.columns;
      place += SECTION_BYTES;
      if (section.kind === BINS) {
        section.low = new Float32Array(buffer, place, cells);
        section.high = new Float32Array(buffer, place + 4 * cells, cells);
        section.flags = new Uint8Array(buffer, place + 8 * cells, cells);
        place += padded(9 * cells);
      } else {
        section.t_us = new Float64Array(buffer, place, section.rows);
        place += 8 * section.rows;
        if (section.kind === LINE) {
          section.values = new Float32Array(buffer, place, cells);
          place += padded(4 * cells);
        }
      }
      found.push(section);
    }
    at = end;
  }
  return found;
}

function head(view, at) {
  return {
    kind: view.getUint8(at),
    source: view.getUint8(at + 1),
    columns: view.getUint16(at + 2, true),
    rows: view.getUint32(at + 4, true),
    begin_us: view.getFloat64(at + 8, true),
    step_us: view.getFloat64(at + 16, true),
    first: view.getFloat64(at + 24, true),
  };
}

function padded(bytes) {
  return Math.ceil(bytes / 8) * 8;
}
