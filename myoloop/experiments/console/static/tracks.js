// What was estimated and decided, under the scope and over the same time: strips of phases, trials and gate, then one
// row for each measure and each stimulation channel. It draws bins that the server has made, least to greatest.

const LEFT = 120;
const STRIP = 24;
const ROW = 64;
const AXIS = 26;
const INK = {
  text: "#14181c", quiet: "#46525c", line: "#c3cbd2", strip: "#dfe7ee", other: "#f3ece2", value: "#1b4f72", band: "rgb(27 79 114 / 18%)",
  asked: "#8a4b00", allowed: "#5b2a86", cap: "#b3001b", instead: "#1c6b34", held: "#1c6b34", open: "#8a4b00", rejected: "#76838e",
};
const GATE = { STOPPED: "#f6d5da", FAULT: "#f6d5da", STIMULATING: "#e4daf0", CALIBRATING: "#e4daf0" };
const HOLDING = new Set(["confirmed", "moved", "reclassed", "added"]);

export class Tracks {
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d", { alpha: false });
    this.facts = null;
    this.labels = [];
    this.sections = new Map();
    this.from_s = 0;
    this.to_s = 1;
    this.cursor_s = null;
    new ResizeObserver(() => this.draw()).observe(canvas.parentElement);
  }

  lay(facts) {
    this.facts = facts;
    this.rows = [];
    const named = new Map(facts.lanes.map((lane) => [lane.name, lane]));
    for (const lane of facts.lanes) {
      if (lane.name.startsWith("muscle/")) {
        const muscle = lane.name.slice("muscle/".length);
        for (const measure of ["fatigue", "effort", "spasm"]) {
          this.rows.push({ kind: "measure", lane, measure, title: measure === "spasm" ? "events" : measure, of: muscle, top: 1, unit: "" });
        }
      } else if (lane.name === "angle") {
        this.rows.push({ kind: "measure", lane, measure: "angle", title: "angle", of: "joint", top: null, unit: "°", factor: 180 / Math.PI });
      } else if (lane.name.startsWith("current/")) {
        this.rows.push({ kind: "current", lane, channel: lane.name.slice("current/".length), named });
      }
    }
    this.draw();
  }

  show(sections, from_s, to_s) {
    this.sections = sections;
    this.from_s = from_s;
    this.to_s = to_s;
    this.draw();
  }

  /** Time under a place of the picture, s. */
  time(x) {
    const width = this.canvas.clientWidth - 8 - LEFT;
    return this.from_s + (Math.min(Math.max(x - LEFT, 0), width) / width) * (this.to_s - this.from_s);
  }

  draw() {
    if (!this.facts) {
      return;
    }
    const { canvas, pen } = this;
    const height = 3 * STRIP + this.rows.length * ROW + AXIS;
    canvas.style.height = `${height}px`;
    const width = canvas.clientWidth;
    if (!width) {
      return;
    }
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.fillStyle = "#ffffff";
    pen.fillRect(0, 0, width, height);
    pen.font = "14px system-ui, sans-serif";
    pen.textBaseline = "middle";
    this.right = width - 8;
    this.x = (t_s) => LEFT + ((t_s - this.from_s) / (this.to_s - this.from_s)) * (this.right - LEFT);
    const facts = this.facts;
    this.strip(0, "phase", facts.phases ?? [], (each) => [each.name || each.kind, each.number % 2 ? INK.strip : INK.other]);
    this.strip(1, "trial", facts.spans ?? [], (each) => [`${each.trial || ""} ${each.state}`.replaceAll("_", " "), each.trial % 2 ? INK.strip : INK.other]);
    this.strip(2, "gate", facts.gate ?? [], (each) => [[each.state, each.rule].filter(Boolean).join(": "), GATE[each.state] ?? INK.strip]);
    this.rows.forEach((row, i) => this.row(row, 3 * STRIP + i * ROW));
    this.marks(height - AXIS);
    this.axis(height);
  }

  strip(at, title, spans, say) {
    const { pen } = this;
    const top = at * STRIP;
    this.title(title, "", top, STRIP);
    this.clipped(top, STRIP, () => {
      for (const each of spans) {
        if (each.end_s < this.from_s || each.begin_s > this.to_s) {
          continue;
        }
        const [text, fill] = say(each);
        const left = Math.max(this.x(each.begin_s), LEFT);
        const wide = Math.max(1, Math.min(this.x(each.end_s), this.right) - left);
        pen.fillStyle = fill;
        pen.fillRect(left, top + 1, wide, STRIP - 3);
        if (wide > 36) {
          pen.save();
          pen.beginPath();
          pen.rect(left, top, wide - 2, STRIP);
          pen.clip();
          pen.fillStyle = INK.text;
          pen.fillText(text, left + 4, top + STRIP / 2);
          pen.restore();
        }
      }
    });
  }

  row(row, top) {
    const section = this.sections.get(row.lane.name);
    this.title(row.kind === "current" ? "current" : row.title, row.kind === "current" ? row.channel : row.of, top, ROW);
    if (!section) {
      return;
    }
    this.clipped(top, ROW, () => (row.kind === "current" ? this.current(row, section, top) : this.measure(row, section, top)));
  }

  measure(row, section, top) {
    const { pen } = this;
    const at = (name) => row.lane.columns.indexOf(name);
    const [value, low, high, valid] = [row.measure, `${row.measure}_low`, `${row.measure}_high`, `${row.measure}_valid`].map(at);
    const most = row.top ?? span(section, value);
    const least = row.top === null ? -most : 0;
    const y = (number) => top + ROW - 6 - ((number - least) / (most - least || 1)) * (ROW - 12);
    for (let bin = 0; bin < section.rows; bin += 1) {
      const cell = bin * section.columns;
      const x = this.x((section.begin_us + bin * section.step_us) / 1e6);
      const wide = Math.max(1, (section.step_us / 1e6 / (this.to_s - this.from_s)) * (this.right - LEFT));
      // Where any estimate of the bin was not valid, the bin is grey: it must not have been acted on.
      const good = section.low[cell + valid] > 0;
      if (section.high[cell + high] >= section.low[cell + low] && good) {
        pen.fillStyle = INK.band;
        pen.fillRect(x, y(section.high[cell + high]), wide, Math.max(1, y(section.low[cell + low]) - y(section.high[cell + high])));
      }
      if (section.high[cell + value] >= section.low[cell + value]) {
        pen.fillStyle = good ? INK.value : INK.line;
        const upper = y(section.high[cell + value]);
        pen.fillRect(x, upper, Math.max(1, wide), Math.max(2, y(section.low[cell + value]) - upper));
      }
    }
    this.scale(row.top === null ? `±${((row.factor ?? 1) * most).toFixed(0)}${row.unit}` : "0 to 1", top);
    if (row.measure === "spasm") {
      this.drawLabels(row.of, top);
    }
  }

  drawLabels(muscle, top) {
    const { pen } = this;
    for (const label of this.labels) {
      const end_s = label.end_s ?? this.facts.end_s;
      if (label.muscle !== muscle || end_s < this.from_s || label.begin_s > this.to_s) {
        continue;
      }
      const ink = label.state === "rejected" ? INK.rejected : HOLDING.has(label.state) ? INK.held : INK.open;
      pen.strokeStyle = ink;
      pen.lineWidth = 2;
      pen.setLineDash(HOLDING.has(label.state) ? [] : [5, 4]);
      const left = this.x(label.begin_s);
      pen.strokeRect(left, top + 3, Math.max(2, this.x(end_s) - left), ROW - 8);
      pen.setLineDash([]);
      pen.fillStyle = ink;
      pen.fillText(label.state === "rejected" ? `not ${label.class}` : label.class, left + 4, top + 13);
    }
  }

  current(row, section, top) {
    const { pen } = this;
    const at = (name) => row.lane.columns.indexOf(name);
    const cap = at("cap");
    const most = Math.max(span(section, cap), span(section, at("asked")), 1);
    const y = (number) => top + ROW - 6 - (number / most) * (ROW - 12);
    this.steps(section, at("allowed"), y, INK.allowed, { fill: top + ROW - 6 });
    this.steps(section, cap, y, INK.cap, { dash: [10, 6] });
    this.steps(section, at("asked"), y, INK.asked, {});
    this.steps(section, at("acknowledged"), y, INK.text, { dash: [2, 4] });
    for (const [name, other] of this.sections) {
      if (name.startsWith("instead/") && name.endsWith(`/${row.channel}`)) {
        this.steps(other, 1, y, INK.instead, { dash: [8, 3], width: 3 });
      }
    }
    this.scale(`${most.toFixed(0)} mA`, top);
  }

  /** The greatest of each bin as a line of steps, or what lies under it filled. */
  steps(section, column, y, ink, { dash = [], width = 2, fill = null }) {
    const { pen } = this;
    pen.strokeStyle = ink;
    pen.fillStyle = fill === null ? ink : "rgb(91 42 134 / 22%)";
    pen.lineWidth = width;
    pen.setLineDash(dash);
    pen.beginPath();
    let on = false;
    for (let bin = 0; bin < section.rows; bin += 1) {
      const value = section.high[bin * section.columns + column];
      const x = this.x((section.begin_us + bin * section.step_us) / 1e6);
      const next = this.x((section.begin_us + (bin + 1) * section.step_us) / 1e6);
      if (Number.isNaN(value)) {
        on = false;
        continue;
      }
      if (fill !== null && value > 0) {
        pen.fillRect(x, y(value), Math.max(1, next - x), fill - y(value));
      }
      pen[on ? "lineTo" : "moveTo"](x, y(value));
      pen.lineTo(next, y(value));
      on = true;
    }
    pen.stroke();
    pen.setLineDash([]);
  }

  marks(height) {
    const { pen } = this;
    const seen = (this.facts.events ?? []).filter((each) => each.t_s >= this.from_s && each.t_s <= this.to_s);
    pen.strokeStyle = INK.quiet;
    pen.lineWidth = 1;
    for (const each of seen.slice(0, 200)) {
      const x = Math.round(this.x(each.t_s)) + 0.5;
      pen.setLineDash([3, 4]);
      pen.beginPath();
      pen.moveTo(x, 0);
      pen.lineTo(x, height);
      pen.stroke();
    }
    pen.setLineDash([]);
    if (this.cursor_s !== null && this.cursor_s >= this.from_s && this.cursor_s <= this.to_s) {
      pen.strokeStyle = "#0b57d0";
      pen.lineWidth = 2;
      pen.beginPath();
      pen.moveTo(this.x(this.cursor_s), 0);
      pen.lineTo(this.x(this.cursor_s), height);
      pen.stroke();
    }
  }

  axis(height) {
    const { pen } = this;
    pen.fillStyle = INK.text;
    for (let i = 0; i <= 5; i += 1) {
      pen.textAlign = i === 0 ? "left" : i === 5 ? "right" : "center";
      pen.fillText(clock(this.from_s + (i / 5) * (this.to_s - this.from_s)), LEFT + (i / 5) * (this.right - LEFT), height - AXIS / 2);
    }
    pen.textAlign = "left";
  }

  title(title, of, top, height) {
    const { pen } = this;
    pen.fillStyle = INK.line;
    pen.fillRect(0, Math.round(top + height) - 1, this.right, 1);
    pen.fillStyle = INK.text;
    pen.fillText(title, 6, top + height / 2 - (of ? 8 : 0), LEFT - 12);
    pen.fillStyle = INK.quiet;
    pen.fillText(of.replaceAll("_", " "), 6, top + height / 2 + 9, LEFT - 12);
  }

  scale(text, top) {
    const { pen } = this;
    pen.fillStyle = INK.quiet;
    pen.textAlign = "right";
    pen.fillText(text, this.right - 4, top + 11);
    pen.textAlign = "left";
  }

  clipped(top, height, draw) {
    const { pen } = this;
    pen.save();
    pen.beginPath();
    pen.rect(LEFT, top, this.right - LEFT, height);
    pen.clip();
    draw();
    pen.restore();
  }
}

/** Minutes and seconds of the session. */
export function clock(t_s) {
  const sign = t_s < 0 ? "−" : "";
  const all = Math.abs(t_s);
  const minutes = Math.floor(all / 60);
  return minutes ? `${sign}${minutes} min ${(all % 60).toFixed(1)} s` : `${sign}${all.toFixed(2)} s`;
}

function span(section, column) {
  let most = 0;
  for (let bin = 0; bin < section.rows; bin += 1) {
    const cell = bin * section.columns + column;
    for (const value of [Math.abs(section.low[cell]), Math.abs(section.high[cell])]) {
      if (value > most) {
        most = value;
      }
    }
  }
  return most;
}
