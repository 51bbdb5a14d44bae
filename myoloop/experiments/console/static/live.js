// The live view: what the feed tells, in words, shapes and one scope. It computes no time of its own.

import * as feed from "/static/feed.js";
import { Scope } from "/static/scope.js";

const root = document.getElementById("live-view");
const find = (name) => root.querySelector(`[data-live="${name}"]`);
const scope = new Scope(find("scope"));
let view = null;
let laid = false; // whether it is known what the streams of this session are
let wanted = false;

// -- words ------------------------------------------------------------------------------------------------------------

function put(name, text, mark) {
  const place = find(name);
  if (!place) {
    return;
  }
  if (place.textContent !== text) {
    place.textContent = text;
  }
  if (mark !== undefined) {
    place.className = mark;
  }
}

// Nought has no sign, however it came about.
const fixed = (value, digits) => (value === null || value === undefined ? "–" : value.toFixed(digits).replace(/^-(0\.?0*)$/, "$1"));
const plain = (name) => String(name ?? "").replaceAll("_", " ");

function time(seconds) {
  if (seconds === null || seconds === undefined) {
    return "–";
  }
  const whole = Math.max(0, Math.ceil(seconds - 1e-6));
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
}

/** A measure as text: value with its interval, or why there is none. */
function measure(said, digits = 2) {
  if (!said || !said.valid || said.value === null) {
    return { text: "–", why: said?.reason ? plain(said.reason) : "not known", valid: false };
  }
  const interval = said.low !== null && said.high !== null ? ` [${fixed(said.low, digits)}, ${fixed(said.high, digits)}]` : "";
  return { text: `${fixed(said.value, digits)}${interval}`, why: "", valid: true };
}

// -- rows that come and stay ------------------------------------------------------------------------------------------

/** One element for each item, made once from the template; `fill` writes only what has changed. */
function rows(name, items, fill) {
  const list = find(name);
  if (!list) {
    return;
  }
  const made = list.querySelectorAll(":scope > [data-row]");
  const template = root.querySelector(`template[data-row-of="${name}"]`);
  for (let i = made.length; i < items.length; i += 1) {
    list.append(template.content.cloneNode(true));
  }
  for (let i = items.length; i < made.length; i += 1) {
    made[i].remove();
  }
  const now = list.querySelectorAll(":scope > [data-row]");
  items.forEach((item, i) => fill(item, (part) => now[i].querySelector(`[data-part="${part}"]`)));
}

function write(place, text, mark) {
  if (place.textContent !== text) {
    place.textContent = text;
  }
  if (mark !== undefined && place.className !== mark) {
    place.className = mark;
  }
}

// -- tiles ------------------------------------------------------------------------------------------------------------

function muscles(state) {
  scope.thresholds = new Map();
  rows("muscles", state.muscles ?? [], (muscle, part) => {
    write(part("name"), plain(muscle.name));
    const limit = muscle.threshold_uv;
    if (limit !== null && limit !== undefined) {
      scope.thresholds.set(muscle.name, limit);
    }
    const { activity_uv: activity } = muscle;
    const waited = limit !== null && limit !== undefined && activity !== null && activity !== undefined;
    const over = waited && activity > limit;
    const level = waited ? `${fixed(activity, 0)} µV, ${over ? "over" : "under"} ${fixed(limit, 0)}` : `${fixed(muscle.level_uv, 0)} µV`;
    write(part("level"), level, over ? "good" : "");
    const fatigue = measure(muscle.fatigue);
    write(part("fatigue"), fatigue.valid ? fatigue.text : `– ${fatigue.why}`, fatigue.valid ? "" : "quiet");
    const spasm = measure(muscle.spasm, 0);
    const on = spasm.valid && muscle.spasm.value > 0;
    write(part("spasm"), on ? `SPASM ${plain(muscle.spasm_kind)}`.trim() : spasm.valid ? "none" : `– ${spasm.why}`, on ? "bad" : spasm.valid ? "good" : "quiet");
    const effort = measure(muscle.effort);
    write(part("effort"), effort.valid ? effort.text : `– ${effort.why}`, effort.valid ? "" : "quiet");
    const quality = muscle.quality;
    write(part("signal"), quality === null || quality === undefined ? "–" : quality === "" ? "clean" : plain(quality), quality === "" ? "good" : quality ? "warn" : "quiet");
  });
}

function channels(state) {
  rows("channels", state.channels ?? [], (channel, part) => {
    write(part("name"), plain(channel.name));
    const open = channel.delivered_ma !== undefined;
    const bar = part("bar");
    bar.max = open ? channel.cap_ma || 1 : 1;
    bar.value = open ? Math.min(channel.delivered_ma, bar.max) : (channel.level ?? 0);
    if (open) {
      const limited = channel.allowed_ma < channel.asked_ma - 1e-6;
      write(part("now"), `${fixed(channel.delivered_ma, 1)} mA`, "now");
      write(part("more"), `asked ${fixed(channel.asked_ma, 1)}, allowed ${fixed(channel.allowed_ma, 1)}${limited ? " (limited)" : ""}, target ${fixed(channel.target_ma, 1)}, cap ${fixed(channel.cap_ma, 1)} mA`, limited ? "warn" : "");
    } else {
      const level = channel.level;
      write(part("now"), level === null || level === undefined ? "level –" : `level ${Math.round(100 * level)} %`, "now");
      write(part("more"), `of the cap, ${fixed(channel.cap_ma, 1)} mA; nominal`, "");
    }
  });
}

const GATE = { ARMED: "warn", STIMULATING: "warn", CALIBRATING: "warn", READY: "good", CONNECTED: "good", FAULT: "bad", STOPPED: "bad", DISCONNECTED: "bad" };

function gate(state) {
  const said = state.gate ?? {};
  const alive = said.alive !== false;
  put("gate", !said.state ? "not heard yet" : alive ? said.state : `${said.state}, silent`, alive ? (GATE[said.state] ?? "") : "bad");
  put("gate-reason", said.reason !== undefined ? [said.rule, said.reason].filter(Boolean).join(": ") || "no limit acts" : "");
  const latch = said.latched;
  const place = find("latch");
  place.hidden = !latch;
  put("latch-text", latch ? `Latched: ${latch}. Everything is at zero. Look at the person, electrodes, cable and device.` : "");
}

function place(state) {
  const phase = state.phase;
  if (!phase) {
    put("phase", state.running ? "The rig comes up" : "No session is running");
    put("waiting", "");
    put("prompt", "");
    put("countdown", "–");
    put("left", "–");
    put("trial", "–");
    return;
  }
  put("phase", `${plain(phase.name || phase.kind)} (${phase.index + 1} of ${phase.count ?? "?"})`);
  const waits = phase.waiting_for ? `waits for: ${plain(phase.waiting_for)}` : plain(phase.state);
  const forms = phase.forms?.length ? ` (${phase.forms.map(plain).join(", ")})` : "";
  put("waiting", `${waits}${forms}`, phase.state === "running" ? "good" : phase.state === "ended" ? "" : "warn");
  put("prompt", phase.prompt || "");
  put("countdown", phase.state_left_s === null || phase.state_left_s === undefined ? "–" : time(phase.state_left_s));
  put("countdown-what", plain(phase.trial_state));
  put("left", time(phase.seconds_left));
  put("trial", phase.trials ? `${phase.trial} of ${phase.trials}${phase.block ? `, block ${phase.block}` : ""}` : "–");
  const attention = phase.attention_left_s;
  put("attention", attention === null || attention === undefined ? "" : `attend within ${time(attention)}`, attention !== null && attention < 15 ? "warn" : "");
}

function body(state) {
  const motion = state.motion?.angle_deg;
  const angle = measure(motion, 0);
  put("angle", state.motion === undefined || state.motion === null ? "no IMU" : angle.valid ? `${angle.text}°` : `– ${angle.why}`, angle.valid ? "" : "quiet");
  const pain = state.pain?.at(-1);
  const before = (state.pain ?? []).slice(-6, -1).map((each) => fixed(each.score, 0));
  put("pain", pain ? `${fixed(pain.score, 0)} of 10` : "not asked yet", pain && pain.score >= 7 ? "bad" : pain && pain.score >= 4 ? "warn" : "");
  put("pain-before", pain && before.length ? `before: ${before.join(", ")}` : "");
  const dose = state.dose;
  put("dose", dose ? `${fixed(dose.charge_mc, 1)} mC` : "–");
  put("dose-more", dose ? `${time(dose.on_s)} with current, ${dose.pulses} pulses` : "");
}

function machine(state) {
  const recording = state.recording ?? {};
  const grows = recording.alive && recording.growing;
  const bytes = recording.bytes;
  const size = bytes === null || bytes === undefined ? "" : ` ${(bytes / 1e6).toFixed(2)} MB`;
  put("recording", !state.running ? "–" : grows ? `grows${size}` : `DOES NOT GROW${size}`, !state.running ? "" : grows ? "good" : "bad");
  const missing = recording.missing;
  put("recording-more", missing ? `${missing} messages missing` : "", missing ? "warn" : "");
  rows("nodes", state.nodes ?? [], (node, part) => {
    write(part("name"), node.name);
    const told = node.cycle_mean_ms !== undefined;
    write(part("alive"), node.alive ? "alive" : "SILENT", node.alive ? "good" : "bad");
    write(part("cycle"), told ? `${fixed(node.cycle_mean_ms, 1)} / ${fixed(node.cycle_worst_ms, 1)} ms` : "");
  });
  const silent = state.phase && state.controller?.alive === false;
  const why = silent ? "SILENT" : state.controller?.bad_signal || state.controller?.reflex || "";
  put("controller", why, silent ? "bad" : state.controller?.bad_signal ? "warn" : "");
}

function events(state) {
  const told = state.events ?? [];
  // Acts come with every step of a calibration: the marks are for what is looked for later.
  scope.events = told.filter((each) => each.kind !== "act");
  const newest = [...told].reverse().slice(0, 8);
  rows("events", newest, (event, part) => {
    const ago_s = Math.max(0, (state.t_ns - event.t_ns) / 1e9);
    write(part("ago"), `${time(ago_s)} ago`);
    const { act, what, score, form } = event.values ?? {};
    const which = [act, what, score, form].find((each) => each !== undefined && each !== null) ?? "";
    const refused = event.values?.ok === false ? "refused" : "";
    write(part("what"), [plain(event.kind), plain(which), refused, event.why].filter(Boolean).join(": "));
  });
}

function show(state) {
  if (view !== state.view) {
    view = state.view;
    root.dataset.view = view;
    find("scope-tile").hidden = view === "blinded";
    find("blinded").hidden = view !== "blinded";
  }
  place(state);
  gate(state);
  muscles(state);
  channels(state);
  body(state);
  machine(state);
  events(state);
  scope.ask();
  reach();
}

// -- the scope's own controls -----------------------------------------------------------------------------------------

const freeze = find("freeze");
const slider = find("back");

function reach() {
  const most = Math.floor(scope.reach_s);
  if (Number(slider.max) !== most && document.activeElement !== slider) {
    slider.max = String(most);
  }
  slider.disabled = most === 0;
}

function standing(on) {
  freeze.setAttribute("aria-pressed", String(on));
  freeze.textContent = on ? "Run again" : "Freeze";
  if (!on) {
    slider.value = "0";
  }
}

freeze.addEventListener("click", () => {
  const on = scope.frozen_us === null;
  scope.freeze(on);
  standing(on);
});
slider.addEventListener("input", () => {
  const seconds = Number(slider.value);
  if (seconds === 0) {
    scope.freeze(false);
  } else {
    scope.back(seconds);
  }
  standing(seconds !== 0);
  slider.setAttribute("aria-valuetext", seconds === 0 ? "now" : `${seconds} seconds back`);
});
find("larger").addEventListener("click", () => scope.zoom(1));
find("smaller").addEventListener("click", () => scope.zoom(-1));
find("fit").addEventListener("click", () => scope.fit());
find("span").addEventListener("change", (event) => {
  scope.span_s = Number(event.target.value);
  scope.ask();
});

// -- the feed ---------------------------------------------------------------------------------------------------------

function lay(layout) {
  laid = true;
  scope.lay(layout);
  standing(false);
}

addEventListener("myoloop:layout", ({ detail }) => lay(detail));
addEventListener("myoloop:bins", ({ detail }) => scope.take(detail));
addEventListener("myoloop:state", ({ detail }) => {
  if (!laid && !wanted) {
    // It came before this script did: begin anew, with the last half minute.
    wanted = feed.send({ want: { screen: "operator" } });
  }
  show(detail);
});
if (feed.state()) {
  show(feed.state());
}
// How many pictures have been drawn, for whoever measures.
root.scope = scope;
