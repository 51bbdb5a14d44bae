// The page of a running session: it shows the one thing that is to be done now, as the feed says, and asks it of the
// session. What is not the newest state is asked for anew; nothing that counts is kept here.
import { say } from "/static/ask.js";
import { ask } from "/static/asking.js";
import { closeDialog, openDialog } from "/static/dialog.js";
import { isUp, send } from "/static/feed.js";
import { showLights } from "/static/lights.js";
import { holdToRaise } from "/static/raise.js";
import { clearReason, reasonIn } from "/static/reasons.js";
import { anyForm, forget, showForm, showOverride } from "/static/session_forms.js";
import { channelOf, clock, stageOf } from "/static/stage.js";

const LEVEL_STEP = 0.05;
const ATTENTION_S = 20;
const CUES = {
  idle: "Wait", cue: "Get ready", await_effort: "Try now", pull: "PULL", ramp_up: "On: rising", hold: "On",
  ramp_down: "Relax", rest: "Relax",
};
const WAITS = { idle: "", cue: "until it begins", await_effort: "to try", ramp_up: "rising", hold: "on",
  ramp_down: "falling", rest: "until the next" };

const GIVES =
  "[data-serve], [data-arm-first], [data-level-step], [data-act=retry], [data-act=attend], [data-go-on], #raise";

let newest = null;
let last = null;
let stage = "";
let limits_ma = {};
let heard = 0;

const all = (selector) => document.querySelectorAll(selector);
const byId = (id) => document.getElementById(id);
const section = () => document.querySelector(`[data-stage="${stage}"]`);

function put(selector, text) {
  for (const each of all(selector)) {
    if (each.textContent !== text) {
      each.textContent = text;
    }
  }
}

const serve = () => ask("serve", "", { waiting_for: newest.phase.waiting_for });

// -- what is shown -----------------------------------------------------------------------------------------------

function turnTo(next) {
  stage = next;
  for (const each of all("[data-stage]")) {
    each.hidden = each.dataset.stage !== next;
  }
  for (const each of all("[data-arm-second]")) {
    each.hidden = true;
  }
  const heading = section().querySelector("h1");
  if (heading && document.querySelector(".dialog:not([hidden])") === null) {
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

function showPhases(phase) {
  const list = byId("phases");
  const text = phase ? `Phase ${Math.min(phase.index + 1, phase.count)} of ${phase.count}: ${phase.name || "end"}` : "";
  if (list.dataset.text === text) {
    return;
  }
  list.dataset.text = text;
  list.textContent = text;
}

function rows(place, found) {
  place.replaceChildren(
    ...found.map((cells) => {
      const row = document.createElement("tr");
      row.append(
        ...cells.map((text, number) => {
          const cell = document.createElement(number ? "td" : "th");
          if (!number) {
            cell.scope = "row";
          }
          cell.textContent = text;
          return cell;
        }),
      );
      return row;
    }),
  );
}

function milliampere(value) {
  return value === null || value === undefined ? "" : `${value.toFixed(1)} mA`;
}

function showLimits(state) {
  const cap = (name, cap_ma) => milliampere(limits_ma[name] ?? cap_ma) || "as the protocol says";
  const found = (state.channels || []).map((each) => [each.name, cap(each.name, each.cap_ma)]);
  for (const place of all("[data-caps], [data-found]")) {
    if (place.dataset.text !== JSON.stringify(found)) {
      place.dataset.text = JSON.stringify(found);
      rows(place, found);
    }
  }
}

function showTimes(state) {
  const phase = state.phase;
  const left_s = phase.state_left_s ?? (phase.state_s ? null : phase.seconds_left);
  put("[data-phase-name]", phase.name);
  put("[data-prompt]", phase.prompt);
  put("[data-countdown]", clock(left_s));
  put("[data-countdown-what]", WAITS[phase.trial_state] || "");
  const pulls = phase.kind === "mvc" && phase.trial_state === "await_effort";
  put("[data-cue]", pulls ? CUES.pull : CUES[phase.trial_state] || "");
  const what = phase.kind === "mvc" ? `Attempt ${phase.trial} of ${phase.trials}, ${phase.muscle}` : "";
  put("[data-trial]", what || (phase.trials ? `Trial ${phase.trial} of ${phase.trials}` : ""));
  put("[data-left]", phase.seconds_left ? `${clock(phase.seconds_left)} left in this phase` : "");
}

function showLevel(state) {
  const phase = state.phase;
  const name = channelOf(state);
  const channel = (state.channels || []).find((each) => each.name === name) || {};
  const nominal = channel.level === null || channel.level === undefined ? "" : `${Math.round(channel.level * 100)} %`;
  put("[data-level]", milliampere(channel.target_ma) || nominal || "–");
  const cap = channel.cap_ma === undefined ? "of the protocol's limit" : `of at most ${milliampere(channel.cap_ma)}`;
  // Between steps it is the next one that is named, and a step that gives nothing shows none.
  const when = phase.trial_state === "hold" ? "on now" : "the next step";
  put("[data-channel]", `${when}: ${name} ${cap}; step ${phase.trial} of ${phase.trials}, ascent ${phase.block}`);
  byId("level-bar").value = phase.trials ? (100 * phase.trial) / phase.trials : 0;
}

function showArm(state) {
  const calibrates = state.phase.waiting_for === "arm_calibration";
  put("[data-arm-title]", calibrates ? "Arm for the thresholds" : "Arm for the trials");
  const name = channelOf(state);
  put("[data-arm-what]", calibrates
    ? `Next: ${state.phase.name}${name ? `, channel ${name}` : ""}. The current rises only while you hold.`
    : `Next: ${state.phase.name}. Is the person ready, are all hands off?`);
}

function showPain(state) {
  const score = (state.pain || []).at(-1);
  if (score) {
    const ago_s = Math.max(0, Math.round((state.t_ns - score.t_ns) / 1e9));
    put("[data-last-score]", `last: ${score.score} of 10, ${clock(ago_s)} ago`);
  }
}

function showAttention(state) {
  const left_s = state.phase.attention_left_s;
  const asks = left_s !== null && left_s !== undefined && left_s <= ATTENTION_S;
  byId("attention").hidden = !asks;
  if (asks) {
    put("#attention-left", `Are you there? The session pauses in ${Math.ceil(left_s)} s.`);
  }
}

function showBanner(state) {
  const phase = state.phase;
  const wrong = [];
  if (phase && phase.session_s > 2 && phase.state !== "ended") {
    if (state.recording && !state.recording.growing) {
      wrong.push("The record does not grow");
    }
    if (state.gate && !state.gate.alive) {
      wrong.push("The stimulator is silent");
    }
    if (state.controller?.bad_signal) {
      wrong.push(`Signal: ${state.controller.bad_signal}`);
    }
  }
  if (state.gate?.latched) {
    wrong.push(`Latched: ${state.gate.latched}`);
  }
  const text = wrong.join(". ");
  const banner = byId("banner");
  if (banner.textContent !== text) {
    banner.textContent = text;
  }
  banner.hidden = !text;
}

/** Where a screen has no way of its own to pause and to end, these stand at its foot; armed, pause alone. */
function showAnyTime(phase) {
  byId("any-time").hidden = !phase || stage === "ended";
  for (const each of all("#any-time button")) {
    const { act, open } = each.dataset;
    const own = (act || open) && section().querySelector(act ? `[data-act="${act}"]` : `[data-open="${open}"]`);
    each.hidden = Boolean(own?.checkVisibility()) || (act ? stage === "paused" : Boolean(phase?.armed));
  }
}

function showEnd() {
  const phase = last?.phase;
  const over = phase?.state === "ended";
  put("[data-outcome]", over ? `The session has ended: ${phase.outcome}` : "The session is over");
  put("[data-ended-why]", over ? phase.reason || "" : "Its end was not heard here; today's list says how it stands.");
  byId("after-care").href = last?.subject ? `/adverse/${last.subject}` : "/day";
}

function hear(state) {
  for (const event of state.events || []) {
    if (event.number > heard && event.values) {
      if (event.kind === "envelope") {
        limits_ma = event.values;
      }
      if (["paused", "held"].includes(event.kind)) {
        put("[data-why-paused]", event.why || "");
      }
    }
    heard = Math.max(heard, event.number || 0);
  }
}

// -- the newest state --------------------------------------------------------------------------------------------

/** A page that was made before the session said who it is has not what the session needs. */
function renew(state) {
  const known = document.body.dataset.session === state.session;
  if (state.phase && state.session && !known && sessionStorage.getItem("renewed") !== state.session) {
    sessionStorage.setItem("renewed", state.session);
    location.reload();
  }
}

function take(state) {
  newest = state;
  renew(state);
  hear(state);
  if (state.phase) {
    last = state;
  }
  let next = stageOf(state);
  if (next === "none" && last) {
    // A session that this page has seen is over: its end stays in sight.
    next = "ended";
  }
  if (next !== stage) {
    turnTo(next);
    forget(next);
  }
  showPhases(state.phase);
  showBanner(state);
  showAnyTime(state.phase);
  byId("attention").hidden = true;
  if (stage === "ended") {
    showEnd();
  }
  if (!state.phase) {
    return;
  }
  showTimes(state);
  showLimits(state);
  showPain(state);
  showAttention(state);
  if (stage === "form") {
    showForm(state.phase);
  } else if (stage === "override") {
    showOverride(byId("override"), Object.keys(state.phase.wrong || {}), state.phase.wrong || {});
  } else if (stage === "checks") {
    showLights(byId("lights"), state);
    const waits = state.phase.waiting_for === "retry";
    for (const each of all('[data-when="retry"]')) {
      each.hidden = !waits;
    }
    document.querySelector("[data-override-check]").hidden = !waits || !("selectivity" in (state.phase.wrong || {}));
    byId("override-check").hidden = byId("override-check").hidden || !waits;
  } else if (stage === "arm") {
    showArm(state);
  } else if (stage === "threshold") {
    showLevel(state);
  } else if (stage === "run") {
    for (const each of all('[data-when="optimise"]')) {
      each.hidden = state.phase.kind !== "optimise";
    }
    put("[data-dial]", `${Math.round(state.phase.level * 100)} %`);
  }
}

// -- what is asked -----------------------------------------------------------------------------------------------

function score(value) {
  return ask("score", "", { score: value });
}

function dial(steps) {
  const level = Math.min(1, Math.max(0, newest.phase.level + steps * LEVEL_STEP));
  return ask("level", "", { level: Math.round(level * 1e9) / 1e9 });
}

async function doWithReason(kind, place) {
  const why = reasonIn(place);
  if (!why) {
    say("A reason is needed.", "bad");
    return;
  }
  const answer = await ask(kind, why);
  if (answer.ok) {
    closeDialog();
    clearReason(place);
  }
}

const byData = {
  serve: () => serve(),
  act: (button) => ask(button.dataset.act, button.dataset.why || ""),
  felt: (button) => ask("felt", "", { what: button.dataset.felt }),
  score: (button) => score(Number(button.dataset.score)),
  levelStep: (button) => dial(Number(button.dataset.levelStep)),
  open: (button) => openDialog(`dialog-${button.dataset.open}`),
  do: (button) => doWithReason(button.dataset.do, button.closest(".dialog")),
  anyForm: (button) => anyForm(button.dataset.anyForm, newest.t_ns / 1e9),
  overrideCheck: () => {
    byId("override-check").hidden = false;
    showOverride(byId("override-check"), ["selectivity"], newest.phase.wrong);
  },
  armFirst: () => reveal("[data-arm-second]"),
  armBack: () => {
    section().querySelector("[data-arm-second]").hidden = true;
  },
};

function reveal(selector) {
  const place = section().querySelector(selector);
  place.hidden = false;
  place.querySelector("button").focus();
}

addEventListener("click", (event) => {
  const button = event.target instanceof Element ? event.target.closest("button") : null;
  const name = button && Object.keys(byData).find((each) => each in button.dataset);
  if (name && newest && (isUp() || !button.matches(GIVES))) {
    byData[name](button);
  }
});

// A key that is held presses once: the second of two deliberate acts is never the first one going on.
addEventListener("keydown", (event) => {
  const again = event.key === "Enter" && event.repeat;
  if (again && event.target instanceof HTMLButtonElement && event.target.id !== "raise") {
    event.preventDefault();
  }
});

let scoring = false;
addEventListener("keydown", (event) => {
  const target = event.target;
  const writes = target instanceof HTMLSelectElement ||
    (target instanceof HTMLInputElement && !["radio", "checkbox"].includes(target.type));
  const busy = writes || document.querySelector(".dialog:not([hidden])") || !newest?.phase;
  if (busy || event.ctrlKey || event.metaKey || event.altKey || event.repeat) {
    return;
  }
  const key = event.key.toLowerCase();
  if (scoring) {
    scoring = false;
    if (key === "t" || /^[0-9]$/.test(key)) {
      score(key === "t" ? 10 : Number(key));
    }
    return;
  }
  if (!isUp() && ["a", "+", "-"].includes(key)) {
    say("No link to the session: not asked.", "bad");
  } else if (key === "n") {
    scoring = true;
    say("Pain now: 0 to 9, or T for 10");
  } else if (key === "p") {
    ask("pause", "operator's key");
  } else if (key === "m") {
    ask("mark", "operator's key");
  } else if (key === "a") {
    ask("attend");
  } else if (["+", "-"].includes(key) && document.querySelector("[data-level-dial]:not([hidden])")) {
    dial(key === "+" ? 1 : -1);
  }
});

holdToRaise(
  byId("raise"),
  () => channelOf(newest),
  () => stage === "threshold" && isUp() && Boolean(newest?.phase?.armed),
  (reason) => say(reason, "bad"),
);
addEventListener("myoloop:state", ({ detail }) => take(detail));
addEventListener("myoloop:link", ({ detail }) => {
  const down = detail !== "up";
  // What gives or could give current is asked only by who sees how it stands; the two acts of arming begin anew.
  for (const each of all(GIVES)) {
    each.disabled = down;
  }
  for (const each of all("[data-arm-second]")) {
    each.hidden = each.hidden || down;
  }
  if (!down) {
    send({ want: { screen: "operator" } });
  }
});
