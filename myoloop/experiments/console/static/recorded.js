// A recorded session: any stretch of it in the same scope as the live one, what was decided under it, another controller
// beside it, labels, report. The server makes the bins; nothing is kept here but what is in sight.

import { post, say } from "/static/ask.js";
import { sections } from "/static/frames.js";
import { follow, drawn } from "/static/jobs.js";
import { beginLabels } from "/static/labels.js";
import { Scope } from "/static/scope.js";
import { Tracks, clock } from "/static/tracks.js";

const SPANS_S = [0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200];
const DIRECT_S = 10;
const MOST_BINS = 2000;
const QUIET = new Set(["act", "approved", "check", "envelope", "form", "gate", "screening"]);

const root = document.getElementById("recorded");
const { api } = root.dataset;
const whole = Boolean(root.dataset.whole);
const mayAct = Boolean(root.dataset.mayAct);
const find = (id) => document.getElementById(id);
const slider = find("from");
const choice = find("span");
const comparison = find("comparison");

let facts = null;
let from_s = 0;
let span_s = 10;
let busy = false;
let again = false;

/** The live scope, over the time of the session instead of back from now. */
class RecordedScope extends Scope {
  drawAxis(height, sight) {
    this.pen.fillStyle = "#14181c";
    this.pen.fillText(`±${this.scale ?? "…"} µV`, 6, height - 13, 108);
  }
}

const scope = whole ? new RecordedScope(find("scope")) : null;
const tracks = new Tracks(find("tracks"));
const labels = whole ? beginLabels({ api, mayAct, changed: labelled, go: (t_s) => move(t_s - span_s / 2) }) : null;

function labelled(rows) {
  tracks.labels = rows;
  tracks.draw();
}

// -- what is there ----------------------------------------------------------------------------------------------------

async function load() {
  const answer = await fetch(`${api}/facts`);
  if (!answer.ok) {
    say("The session cannot be read.", "bad");
    return;
  }
  facts = await answer.json();
  const about = facts.about ?? {};
  const said = [about.outcome, about.reason, about.of_protocol, `${clock(facts.end_s)} long`].filter(Boolean);
  find("about").textContent = said.join(", ");
  find("stamp").hidden = !about.stamp;
  find("stamp").textContent = about.stamp ?? "";
  find("unmade").hidden = facts.made;
  const allowed = SPANS_S.filter((each) => facts.made || !whole || each <= DIRECT_S);
  choice.replaceChildren(...allowed.map((each) => new Option(each < 60 ? `${each} s` : `${each / 60} min`, each)));
  span_s = Math.min(span_s, allowed.at(-1));
  tracks.lay(facts);
  listCourse();
  if (comparison) {
    const chosen = comparison.value;
    comparison.replaceChildren(new Option("none", ""), ...facts.comparisons.map((each) => new Option(each.controller, each.name)));
    comparison.value = facts.comparisons.some((each) => each.name === chosen) ? chosen : "";
  }
  find("work").replaceChildren(...facts.jobs.filter((job) => job.state !== "done").slice(0, 3).map(drawn));
  move(from_s);
  if (facts.made) {
    labels?.load(facts);
  } else if (mayAct) {
    make();
  }
}

async function make() {
  const ended = await work({ work: "overview" }, (job) => {
    find("unmade-said").textContent = job.line || "It is being made …";
  });
  if (ended?.state === "done") {
    await load();
  } else {
    find("unmade-said").textContent = `It could not be made: ${ended?.line ?? ""}`;
  }
}

async function work(asked, see) {
  const answer = await post(`${api}/work`, asked);
  if (!answer.ok) {
    say(answer.reason, "bad");
    return { state: "refused", line: answer.reason };
  }
  return follow(answer.job, see);
}

function cells(row, texts) {
  for (const text of texts) {
    row.insertCell().textContent = text ?? "";
  }
}

function listCourse() {
  const trials = find("trials");
  trials.replaceChildren();
  for (const each of facts.trials ?? []) {
    cells(trials.insertRow(), [`${each.name || each.kind} ${each.block || ""} ${each.trial || ""}`, each.begin_s?.toFixed(1), each.end_s?.toFixed(1), each.outcome]);
  }
  const events = find("events");
  events.replaceChildren();
  for (const each of facts.events ?? []) {
    const score = each.values?.score;
    cells(events.insertRow(), [each.t_s?.toFixed(1), `${each.kind.replaceAll("_", " ")}${score === undefined ? "" : ` ${score}`}`, each.who, each.why]);
  }
}

// -- what is in sight -------------------------------------------------------------------------------------------------

function move(to_s) {
  const most = Math.max(0, (facts?.end_s ?? 0) - span_s);
  from_s = Math.min(Math.max(0, to_s), most);
  slider.max = String(most);
  slider.step = String(Math.max(0.01, span_s / 50));
  slider.value = String(from_s);
  slider.setAttribute("aria-valuetext", clock(from_s));
  slider.disabled = most === 0;
  choice.value = String(span_s);
  ask();
}

function wanted() {
  const emg = facts.lanes.filter((lane) => lane.name.startsWith("emg/"));
  if (!facts.made) {
    return emg;
  }
  const others = facts.lanes.filter((lane) => /^(muscle\/|current\/|angle$)/.test(lane.name));
  const chosen = comparison?.value ? facts.lanes.filter((lane) => lane.name.startsWith(`instead/${comparison.value}/`)) : [];
  return [...emg, ...others, ...chosen];
}

async function ask() {
  if (!facts) {
    return;
  }
  if (busy) {
    again = true;
    return;
  }
  busy = true;
  const [begin_s, end_s] = [from_s, from_s + span_s];
  try {
    const lanes = whole ? wanted() : [];
    const found = new Map();
    if (lanes.length) {
      const asked = new URLSearchParams({ from_s: begin_s, to_s: end_s, n: Math.min(MOST_BINS, Math.max(200, find("tracks").clientWidth - 128)) });
      lanes.forEach((lane) => asked.append("lane", lane.name));
      const answer = await fetch(`${api}/bins?${asked}`);
      if (!answer.ok) {
        say("This stretch cannot be shown.", "bad");
        return;
      }
      const parts = sections(await answer.arrayBuffer());
      lanes.forEach((lane, i) => found.set(lane.name, parts[i]));
      picture(lanes, found, begin_s, end_s);
    }
    tracks.show(found, begin_s, end_s);
  } finally {
    busy = false;
    if (again) {
      again = false;
      ask();
    }
  }
}

function picture(lanes, found, begin_s, end_s) {
  const emg = lanes.filter((lane) => lane.name.startsWith("emg/"));
  const heard = lanes.filter((lane) => lane.name.startsWith("muscle/"));
  const currents = lanes.filter((lane) => lane.name.startsWith("current/"));
  const streams = emg.map((lane) => {
    const columns = lane.columns.map((_, i) => i).filter((i) => lane.units[i] === "V");
    return { lane, columns, names: columns.map((i) => muscleOf(lane.name, lane.columns[i])) };
  });
  const muscles = heard.map((lane) => lane.name.slice("muscle/".length));
  const { scale } = scope;
  const step_us = found.get(emg[0]?.name)?.step_us ?? 1;
  scope.lay({
    streams: streams.map((each) => ({ muscles: each.names, bin_us: step_us })),
    lines: [{ name: "envelope", columns: muscles, unit: "µV" }],
    channels: currents.map((lane) => lane.name.slice("current/".length)),
  });
  scope.scale = scale;
  scope.span_s = end_s - begin_s;
  scope.frozen_us = end_s * 1e6;
  streams.forEach((each, i) => {
    const section = picked(found.get(each.lane.name), each.columns);
    scope.streams[i].kept = section.rows;
    scope.streams[i] = resized(scope.streams[i], section);
    scope.streams[i].add(section);
  });
  const levels = heard.map((lane) => found.get(lane.name));
  if (levels.length) {
    const rows = levels[0].rows;
    const t_us = Float64Array.from({ length: rows }, (_, bin) => levels[0].begin_us + (bin + 0.5) * step_us);
    const values = new Float32Array(rows * levels.length);
    levels.forEach((section, column) => {
      for (let bin = 0; bin < rows; bin += 1) {
        values[bin * levels.length + column] = section.high[bin * section.columns];
      }
    });
    scope.lines[0].add({ rows, t_us, values });
  }
  currents.forEach((lane, i) => {
    const section = found.get(lane.name);
    const allowed = lane.columns.indexOf("allowed");
    const on = [];
    for (let bin = 0; bin < section.rows; bin += 1) {
      if (section.high[bin * section.columns + allowed] > 0) {
        on.push(section.begin_us + (bin + 0.5) * section.step_us);
      }
    }
    scope.pulses[i].add({ rows: on.length, t_us: Float64Array.from(on) });
  });
  // What gate and director said stands in the strips and in the table below.
  const seen = (facts.events ?? []).filter((each) => !QUIET.has(each.kind));
  scope.events = seen.map((each) => ({ t_ns: each.t_s * 1e9, kind: each.kind }));
  if (scope.scale === null) {
    scope.fit();
  }
  scope.ask();
}

function muscleOf(topic, channel) {
  return (facts.sites ?? []).find((site) => site.topic === topic && site.channel === channel)?.muscle ?? channel;
}

function resized(bins, section) {
  return new bins.constructor(section.columns, section.step_us, section.rows);
}

/** Some columns of a section. */
function picked(section, columns) {
  const take = (values, Kind) => {
    const found = new Kind(section.rows * columns.length);
    for (let row = 0; row < section.rows; row += 1) {
      columns.forEach((column, i) => {
        found[row * columns.length + i] = values[row * section.columns + column];
      });
    }
    return found;
  };
  return { ...section, columns: columns.length, low: take(section.low, Float32Array), high: take(section.high, Float32Array), flags: take(section.flags, Uint8Array) };
}

// -- what was decided at a moment -------------------------------------------------------------------------------------

async function at(t_s) {
  tracks.cursor_s = t_s;
  tracks.draw();
  if (!whole) {
    return;
  }
  find("at-when").textContent = clock(t_s);
  const answer = await fetch(`${api}/at?t_s=${t_s}`);
  const table = find("at");
  table.replaceChildren();
  if (!answer.ok) {
    return;
  }
  const told = await answer.json();
  for (const [what, message] of Object.entries(told)) {
    const row = table.insertRow();
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = `${what}, ${((t_s - message.t_s) * 1e3).toFixed(0)} ms before`;
    row.append(head);
    row.insertCell().textContent = worded(what, message);
  }
}

function worded(what, message) {
  const amounts = (settings) => (settings ?? []).map((each) => `${each.channel} ${each.current_ma.toFixed(1)} mA, ${each.phase_us} µs, ${each.rate_hz} Hz`).join("; ") || "nothing";
  if (what === "request") {
    return `${amounts(message.channels)}${message.reason ? ` (${message.reason})` : ""}`;
  }
  if (what === "report") {
    const why = [message.rule, ...(message.reasons ?? [])].filter(Boolean).join(", ");
    return `${message.state}: asked ${amounts(message.requested)}; allowed ${amounts(message.allowed)}; acknowledged ${amounts(message.acknowledged)}${why ? `; ${why}` : ""}${message.latched ? `; latched: ${message.latched}` : ""}`;
  }
  if (what === "phase") {
    return [message.name || message.kind, message.state, message.trial ? `trial ${message.trial}, ${message.trial_state}` : ""].filter(Boolean).join(", ");
  }
  const one = (name, measure) => (measure?.valid ? `${name} ${measure.value.toFixed(2)}` : `${name} not valid (${measure?.reason ?? ""})`);
  return message.muscles.map((each) => `${each.muscle}: ${each.level_uv?.toFixed(0) ?? "–"} µV, ${one("fatigue", each.fatigue)}, ${one("effort", each.effort)}, ${one("spasm", each.spasm)}`).join("; ");
}

// -- keys and buttons -------------------------------------------------------------------------------------------------

function zoom(step) {
  const allowed = [...choice.options].map((each) => Number(each.value));
  const now = allowed.indexOf(span_s);
  const middle = from_s + span_s / 2;
  span_s = allowed[Math.min(allowed.length - 1, Math.max(0, now + step))];
  move(middle - span_s / 2);
}

slider.addEventListener("input", () => move(Number(slider.value)));
choice.addEventListener("change", () => {
  const middle = from_s + span_s / 2;
  span_s = Number(choice.value);
  move(middle - span_s / 2);
});
find("earlier").addEventListener("click", () => move(from_s - span_s / 2));
find("later").addEventListener("click", () => move(from_s + span_s / 2));
find("closer").addEventListener("click", () => zoom(-1));
find("further").addEventListener("click", () => zoom(1));
find("larger")?.addEventListener("click", () => scope.zoom(1));
find("smaller")?.addEventListener("click", () => scope.zoom(-1));
for (const id of ["scope", "tracks"]) {
  find(id)?.addEventListener("click", (event) => at(tracks.time(event.offsetX)));
}
comparison?.addEventListener("change", () => {
  const chosen = facts.comparisons.find((each) => each.name === comparison.value);
  const summary = chosen?.summary;
  find("comparison-said").textContent = chosen ? `${chosen.controller}: ${summary.differing} of ${summary.steps} steps with another request; drawn dashed over the current.` : "";
  ask();
});
find("compare")?.addEventListener("click", async () => {
  const ended = await work({ work: "compare", controller: find("controller").value }, (job) => {
    find("comparison-said").textContent = `${job.state}: ${job.line}`;
  });
  if (ended?.state === "done") {
    await load();
    comparison.value = facts.comparisons.at(-1)?.name ?? "";
    const made = ended.answer?.table?.split("/").at(-1).replace(/\.parquet$/, "");
    comparison.value = made ?? comparison.value;
    comparison.dispatchEvent(new Event("change"));
  }
});
find("report")?.addEventListener("click", async () => {
  const ended = await work({ work: "report" }, (job) => find("work").replaceChildren(drawn(job)));
  if (ended?.state === "done") {
    location.reload();
  }
});
addEventListener("keydown", (event) => {
  if (event.target.closest("input, select, textarea, button, [tabindex='0']") || event.ctrlKey || event.altKey || event.metaKey) {
    return;
  }
  const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
  if (step) {
    event.preventDefault();
    move(from_s + (step * span_s) / 10);
  } else if (event.key === "Home" || event.key === "End") {
    event.preventDefault();
    move(event.key === "Home" ? 0 : Infinity);
  }
});

load();
