// What the scope remembers: bins of a stream, points of a line, pulses of a channel, each the newest few minutes.

export const MISSING = 2;

/** Bins by number; what was never told is missing. */
export class Bins {
  constructor(columns, step_us, kept) {
    this.columns = columns;
    this.step_us = step_us;
    this.kept = kept;
    this.first = null; // number of the oldest bin that may be there
    this.next = 0; // one past the newest
    this.origin_us = 0; // where bin 0 would begin
    this.low = new Float32Array(kept * columns).fill(NaN);
    this.high = new Float32Array(kept * columns).fill(NaN);
    this.flags = new Uint8Array(kept * columns).fill(MISSING);
  }

  add(section) {
    if (section.columns !== this.columns) {
      return;
    }
    if (this.first === null) {
      this.first = this.next = section.first;
    }
    this.origin_us = section.begin_us - section.first * section.step_us;
    // A hole is missing; one that is longer than the memory leaves nothing in it.
    for (let bin = Math.max(this.next, section.first - this.kept); bin < section.first; bin += 1) {
      const at = (bin % this.kept) * this.columns;
      this.low.fill(NaN, at, at + this.columns);
      this.high.fill(NaN, at, at + this.columns);
      this.flags.fill(MISSING, at, at + this.columns);
    }
    for (let row = 0; row < section.rows; row += 1) {
      const at = ((section.first + row) % this.kept) * this.columns;
      for (let column = 0; column < this.columns; column += 1) {
        const cell = row * this.columns + column;
        this.low[at + column] = section.low[cell];
        this.high[at + column] = section.high[cell];
        this.flags[at + column] = section.flags[cell];
      }
    }
    this.next = section.first + section.rows;
    this.first = Math.max(this.first, this.next - this.kept);
  }

  /** Time one past the newest bin, or null. */
  get end_us() {
    return this.first === null ? null : this.origin_us + this.next * this.step_us;
  }

  get begin_us() {
    return this.first === null ? null : this.origin_us + this.first * this.step_us;
  }

  /** Number of the bin at a time. */
  at(t_us) {
    return Math.floor((t_us - this.origin_us) / this.step_us);
  }
}

/** Times, with values beside them; the newest few. */
export class Points {
  constructor(columns, kept) {
    this.columns = columns;
    this.kept = kept;
    this.count = 0;
    this.t_us = new Float64Array(kept);
    this.values = columns ? new Float32Array(kept * columns) : null;
  }

  add(section) {
    for (let row = 0; row < section.rows; row += 1) {
      const at = this.count % this.kept;
      this.t_us[at] = section.t_us[row];
      for (let column = 0; column < this.columns; column += 1) {
        this.values[at * this.columns + column] = section.values[row * this.columns + column];
      }
      this.count += 1;
    }
  }

  /** Calls `each(t_us, place)` for the points between two times, in order. */
  between(begin_us, end_us, each) {
    let low = Math.max(0, this.count - this.kept);
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.t_us[middle % this.kept] < begin_us) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    for (let i = low; i < this.count && this.t_us[i % this.kept] <= end_us; i += 1) {
      each(this.t_us[i % this.kept], i % this.kept);
    }
  }
}
