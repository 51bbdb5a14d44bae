// The scope: EMG of all muscles, one lane each, newest at the right edge; envelope and threshold over it, stimulation and
// events as marks. It draws what has come, when the browser draws; it has no clock of its own.

import { BINS, LINE, PULSES, sections } from "/static/frames.js";
import { Bins, MISSING, Points } from "/static/ring.js";

const KEPT_S = 300;
const LINE_HZ = 100;
const PULSES_KEPT = 30000;
const SCALES_UV = [10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000];
const LEFT = 120;
const STRIP = 22;
const AXIS = 26;
const LOWEST_WITH_WORDS = 40;
const INK = { signal: "#1b4f72", envelope: "#8a4b00", threshold: "#b3001b", bad: "#9aa5ae", pulse: "#5b2a86", text: "#14181c", line: "#c3cbd2", event: "#46525c" };

export class Scope {
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d", { alpha: false });
    this.span_s = 10;
    this.scale = null; // µV from the middle of a lane to its edge; null until it fits itself
    this.frozen_us = null; // the right edge while it stands still
    this.frames = 0;
    this.events = [];
    this.thresholds = new Map();
    this.waiting = false;
    this.lay({ streams: [], lines: [], channels: [] });
    new ResizeObserver(() => this.ask()).observe(canvas);
  }

  /** Begin anew with the streams, lines and channels of a session. */
  lay(layout) {
    this.layout = layout;
    this.streams = layout.streams.map(
      (each) => new Bins(each.muscles.length, each.bin_us, Math.round((KEPT_S * 1e6) / each.bin_us)),
    );
    this.lines = layout.lines.map((each) => new Points(each.columns.length, KEPT_S * LINE_HZ));
    this.pulses = layout.channels.map(() => new Points(0, PULSES_KEPT));
    this.lanes = layout.streams.flatMap((each, stream) => each.muscles.map((name, column) => ({ name, stream, column })));
    this.middles = this.lanes.map(() => 0); // µV that lie in the middle of a lane: amplifiers have offsets
    this.frozen_us = null;
    this.scale = null;
    this.ask();
  }

  /** Take in a message of frames. */
  take(buffer) {
    for (const section of sections(buffer)) {
      const place = { [BINS]: this.streams, [LINE]: this.lines, [PULSES]: this.pulses }[section.kind];
      place?.[section.source]?.add(section);
    }
    this.ask();
  }

  /** Draw with the browser's next frame; however often it is asked, once. */
  ask() {
    if (!this.waiting) {
      this.waiting = true;
      requestAnimationFrame(() => {
        this.waiting = false;
        this.draw();
      });
    }
  }

  get newest_us() {
    return Math.max(...this.streams.map((each) => each.end_us ?? -Infinity), -Infinity);
  }

  get oldest_us() {
    return Math.min(...this.streams.map((each) => each.begin_us ?? Infinity), Infinity);
  }

  /** Let the picture stand still, or run again. */
  freeze(on) {
    this.frozen_us = on && Number.isFinite(this.newest_us) ? this.newest_us : null;
    this.ask();
  }

  /** Look back: so many seconds before the newest. */
  back(seconds) {
    if (Number.isFinite(this.newest_us)) {
      this.frozen_us = this.newest_us - seconds * 1e6;
      this.ask();
    }
  }

  /** How far one can look back, s. */
  get reach_s() {
    const reach = (this.newest_us - this.oldest_us) / 1e6 - this.span_s;
    return Number.isFinite(reach) ? Math.max(0, reach) : 0;
  }

  /** One step of the scale: 1 shows larger, -1 smaller. */
  zoom(step) {
    const at = SCALES_UV.indexOf(this.scale ?? 200);
    this.scale = SCALES_UV[Math.min(SCALES_UV.length - 1, Math.max(0, at - step))];
    this.ask();
  }

  /** Numbers of the bins that a pulse of stimulation may have spoilt. */
  binsOfPulses(bins) {
    const found = new Set();
    const end_us = bins.end_us ?? 0;
    for (const each of this.pulses) {
      each.between(end_us - this.span_s * 1e6, end_us, (t_us) => {
        for (let after = -1; after < 3; after += 1) {
          found.add(bins.at(t_us) + after);
        }
      });
    }
    return found;
  }

  /** Choose the scale by what is in sight; what stimulation has spoilt does not count. */
  fit() {
    const seen = [];
    this.lanes.forEach(({ stream, column }, lane) => {
      const bins = this.streams[stream];
      const from = Math.max(bins.first ?? 0, bins.next - Math.round((this.span_s * 1e6) / bins.step_us));
      const pulses = this.binsOfPulses(bins);
      const cells = [];
      for (let bin = from; bin < bins.next; bin += 1) {
        const at = (bin % bins.kept) * bins.columns + column;
        if (bins.high[at] >= bins.low[at] && !pulses.has(bin)) {
          cells.push(at);
        }
      }
      this.middles[lane] = share(cells.map((at) => (bins.low[at] + bins.high[at]) / 2), 0.5) ?? 0;
      const middle = this.middles[lane];
      seen.push(...cells.map((at) => Math.max(middle - bins.low[at], bins.high[at] - middle)));
    });
    const most = share(seen, 0.95);
    if (most !== undefined) {
      this.scale = SCALES_UV.find((each) => each >= 1.5 * most) ?? SCALES_UV.at(-1);
      this.ask();
    }
  }

  draw() {
    const { canvas, pen } = this;
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (!width || !height) {
      return;
    }
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.fillStyle = "#ffffff";
    pen.fillRect(0, 0, width, height);
    pen.font = "15px system-ui, sans-serif";
    pen.textBaseline = "middle";
    const end_us = this.frozen_us ?? this.newest_us;
    if (!Number.isFinite(end_us)) {
      pen.fillStyle = INK.text;
      pen.fillText("No EMG has come yet.", LEFT, height / 2);
      return;
    }
    if (this.scale === null && this.newest_us - this.oldest_us > 2e6) {
      this.fit();
    }
    const begin_us = end_us - this.span_s * 1e6;
    const sight = { begin_us, end_us, left: LEFT, right: width - 8, x: (t_us) => LEFT + ((t_us - begin_us) / (end_us - begin_us)) * (width - 8 - LEFT) };
    const strips = this.pulses.length * STRIP;
    const lane = (height - AXIS - strips) / Math.max(1, this.lanes.length);
    this.lanes.forEach((each, i) => this.drawLane(each, i * lane, lane, this.middles[i], sight));
    this.pulses.forEach((each, i) => this.drawPulses(i, height - AXIS - strips + i * STRIP, sight));
    this.drawEvents(height - AXIS, sight);
    this.drawAxis(height, sight);
    this.frames += 1;
  }

  drawLane({ name, stream, column }, top, height, middle_uv, sight) {
    const { pen } = this;
    const middle = top + height / 2;
    const per_uv = height / 2 / (this.scale ?? 200);
    pen.fillStyle = INK.line;
    pen.fillRect(0, Math.round(top + height) - 1, sight.right, 1);
    pen.save();
    pen.beginPath();
    pen.rect(sight.left, top, sight.right - sight.left, height);
    pen.clip();
    this.drawBins(this.streams[stream], column, top, height, middle + middle_uv * per_uv, per_uv, sight);
    this.drawEnvelope(name, top, height, per_uv, sight);
    pen.restore();
    pen.fillStyle = INK.text;
    pen.fillText(name.replaceAll("_", " "), 6, middle, LEFT - 12);
  }

  // Bins that fall on one column of the screen become one stroke from their least to their greatest: no peak is lost.
  drawBins(bins, column, top, height, middle, per_uv, sight) {
    if (bins.first === null) {
      return;
    }
    const { pen } = this;
    const begin = Math.max(bins.first, bins.at(sight.begin_us));
    const end = Math.min(bins.next, bins.at(sight.end_us) + 1);
    const step = (bins.step_us / (sight.end_us - sight.begin_us)) * (sight.right - sight.left);
    const from = sight.x(bins.origin_us + begin * bins.step_us);
    pen.strokeStyle = INK.signal;
    pen.lineWidth = Math.max(1, step);
    pen.beginPath();
    let pixel = -1;
    let low = Infinity;
    let high = -Infinity;
    let bad = -1;
    for (let bin = begin; bin < end; bin += 1) {
      const at = (bin % bins.kept) * bins.columns + column;
      const x = Math.floor(from + (bin - begin) * step);
      if (x !== pixel) {
        stroke(pen, pixel, low, high, middle, per_uv);
        pixel = x;
        low = Infinity;
        high = -Infinity;
      }
      if (bins.low[at] < low) {
        low = bins.low[at];
      }
      if (bins.high[at] > high) {
        high = bins.high[at];
      }
      if (bins.flags[at] && x !== bad) {
        bad = x;
        // Missing: the whole lane is grey. Invalid: a foot of it is, below what may be used.
        const whole = bins.flags[at] & MISSING;
        pen.fillStyle = INK.bad;
        pen.fillRect(x, whole ? top + 2 : top + height - 7, Math.max(1, Math.ceil(step)), whole ? height - 4 : 5);
      }
    }
    stroke(pen, pixel, low, high, middle, per_uv);
    pen.stroke();
  }

  drawEnvelope(name, top, height, per_uv, sight) {
    const middle = top + height / 2;
    const number = this.layout.lines.findIndex((each) => each.name === "envelope");
    const column = number < 0 ? -1 : this.layout.lines[number].columns.indexOf(name);
    if (column < 0) {
      return;
    }
    const { pen } = this;
    const points = this.lines[number];
    pen.strokeStyle = INK.envelope;
    pen.lineWidth = 2.5;
    pen.beginPath();
    let on = false;
    points.between(sight.begin_us, sight.end_us, (t_us, at) => {
      const value = points.values[at * points.columns + column];
      if (Number.isNaN(value)) {
        on = false;
      } else if (on) {
        pen.lineTo(sight.x(t_us), middle - value * per_uv);
      } else {
        pen.moveTo(sight.x(t_us), middle - value * per_uv);
        on = true;
      }
    });
    pen.stroke();
    const threshold = this.thresholds.get(name);
    if (threshold !== undefined) {
      const y = Math.round(middle - threshold * per_uv) + 0.5;
      pen.strokeStyle = INK.threshold;
      pen.lineWidth = 2;
      pen.setLineDash([10, 6]);
      pen.beginPath();
      pen.moveTo(sight.left, y);
      pen.lineTo(sight.right, y);
      pen.stroke();
      pen.setLineDash([]);
      if (height >= LOWEST_WITH_WORDS) {
        pen.fillStyle = INK.threshold;
        pen.fillText("threshold", sight.left + 4, Math.max(top + 9, y - 9));
      }
    }
  }

  drawPulses(channel, top, sight) {
    const { pen } = this;
    pen.fillStyle = INK.text;
    pen.fillText(`⚡ ${this.layout.channels[channel].replaceAll("_", " ")}`, 6, top + STRIP / 2, LEFT - 12);
    pen.fillStyle = INK.pulse;
    let last = -1;
    this.pulses[channel].between(sight.begin_us, sight.end_us, (t_us) => {
      const x = Math.floor(sight.x(t_us));
      if (x !== last) {
        last = x;
        pen.fillRect(x, top + 3, 1.5, STRIP - 6);
      }
    });
  }

  drawEvents(height, sight) {
    const { pen } = this;
    pen.strokeStyle = INK.event;
    pen.fillStyle = INK.event;
    pen.lineWidth = 1;
    for (const each of this.events) {
      const t_us = each.t_ns / 1e3;
      if (t_us < sight.begin_us || t_us > sight.end_us) {
        continue;
      }
      const x = Math.round(sight.x(t_us)) + 0.5;
      pen.setLineDash([3, 4]);
      pen.beginPath();
      pen.moveTo(x, 0);
      pen.lineTo(x, height);
      pen.stroke();
      pen.setLineDash([]);
      pen.fillText(each.kind.replaceAll("_", " "), x + 4, 10);
    }
  }

  drawAxis(height, sight) {
    const { pen } = this;
    const late_s = this.frozen_us === null ? 0 : (this.newest_us - sight.end_us) / 1e6;
    pen.fillStyle = INK.text;
    pen.fillText(`±${this.scale ?? "…"} µV`, 6, height - AXIS / 2, LEFT - 12);
    const parts = 5;
    for (let i = 0; i <= parts; i += 1) {
      const x = sight.left + (i / parts) * (sight.right - sight.left);
      const at_s = late_s + this.span_s * (1 - i / parts);
      pen.textAlign = i === 0 ? "left" : i === parts ? "right" : "center";
      pen.fillText(at_s < 0.05 ? "now" : `−${at_s.toFixed(at_s < 20 ? 1 : 0)} s`, x, height - AXIS / 2);
    }
    pen.textAlign = "left";
  }
}

function stroke(pen, x, low, high, middle, per_uv) {
  if (high >= low) {
    const y = middle - high * per_uv;
    pen.moveTo(x + 0.5, y);
    pen.lineTo(x + 0.5, Math.max(y + 1, middle - low * per_uv));
  }
}

/** The value below which this share of all lies. */
function share(values, part) {
  const sorted = Float64Array.from(values).sort();
  return sorted.length ? sorted[Math.floor(part * (sorted.length - 1))] : undefined;
}
