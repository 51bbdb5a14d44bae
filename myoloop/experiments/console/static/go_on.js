// Go on after a stop (a new attempt at the session) or after a pause: a reason, then two deliberate acts, a switch that
// is held and a confirmation. Any element with data-go-on opens the dialog: data-go-on="" after a pause,
// data-go-on="sub-X/ses-NN" for a new attempt.

import { act, post, say } from "/static/ask.js";
import { closeDialog, openDialog } from "/static/dialog.js";

const HOLD_MS = 1000;
const OPEN_MS = 10000;
const LOOK_MS = 300;
// How long the attempt that was stopped may take to be closed, with its report.
const CLOSING_MS = 60000;
const dialog = document.getElementById("go-on");
const strip = document.getElementById("go-on-strip");
const stripText = document.getElementById("go-on-strip-text");
const stripButton = document.getElementById("go-on-open");
const heading = document.getElementById("go-on-title");
const hold = document.getElementById("go-on-hold");
const confirm = document.getElementById("go-on-confirm");
const said = document.getElementById("go-on-said");
const other = document.getElementById("go-on-other");
let session = "";
let holding = 0;
let unlocked = 0;

function pass(ms) {
  return new Promise((then) => {
    setTimeout(then, ms);
  });
}

// Nothing of an earlier opening, or of an earlier hold, is left.
function lock() {
  clearTimeout(holding);
  clearTimeout(unlocked);
  holding = 0;
  hold.dataset.held = "";
  hold.setAttribute("aria-pressed", "false");
  confirm.disabled = true;
}

function reason() {
  const chosen = dialog.querySelector('input[name="go-on-why"]:checked');
  return (chosen && chosen.value) || other.value.trim();
}

function open(which) {
  session = which;
  heading.textContent = session ? `Go on after the stop: a new attempt at ${session}` : "Go on after the pause";
  for (const each of dialog.querySelectorAll("[data-after-stop]")) {
    each.hidden = !session;
  }
  for (const each of dialog.querySelectorAll("input")) {
    if (each.type === "radio" || each.type === "checkbox") {
      each.checked = false;
    } else {
      each.value = "";
    }
  }
  said.textContent = "";
  lock();
  openDialog("go-on");
}

function press(event) {
  if (holding || (event.type === "keydown" && event.key !== "Enter")) {
    return;
  }
  event.preventDefault();
  if (!reason()) {
    said.textContent = "First choose a reason, or write one.";
    return;
  }
  said.textContent = "Hold on";
  hold.dataset.held = "on";
  hold.setAttribute("aria-pressed", "true");
  holding = setTimeout(() => {
    confirm.disabled = false;
    said.textContent = "Now confirm.";
    clearTimeout(unlocked);
    unlocked = setTimeout(lock, OPEN_MS);
  }, HOLD_MS);
}

function release() {
  if (!holding) {
    return;
  }
  clearTimeout(holding);
  holding = 0;
  hold.dataset.held = "";
  hold.setAttribute("aria-pressed", "false");
  if (confirm.disabled) {
    said.textContent = "Released too early.";
  } else {
    confirm.focus();
  }
}

async function follow(job) {
  for (;;) {
    const answer = await fetch(`/api/jobs/${job}`);
    const how = answer.ok ? await answer.json() : { state: "running" };
    if (how.state !== "running") {
      said.textContent = `It did not begin: ${how.line || how.state}`;
      return;
    }
    if (document.body.dataset.rig && document.body.dataset.rig !== "none") {
      location.assign("/session");
      return;
    }
    await pass(LOOK_MS);
  }
}

async function goOn() {
  const why = reason();
  lock();
  if (!session) {
    const done = await act("resume", why);
    said.textContent = done.ok ? "" : done.reason;
    if (done.ok) {
      say("The session goes on.");
      closeDialog();
    }
    return;
  }
  const body = { session, why, same_electrodes: document.getElementById("go-on-same").checked };
  for (const name of ["second", "passphrase"]) {
    const field = document.getElementById(`go-on-${name}`);
    if (field) {
      body[name] = field.value;
    }
  }
  said.textContent = "Starting";
  let done = await post("/api/go-on", body);
  for (let waited_ms = 0; done.busy && waited_ms < CLOSING_MS; waited_ms += LOOK_MS) {
    said.textContent = "The stopped attempt is being closed";
    await pass(LOOK_MS);
    done = await post("/api/go-on", body);
  }
  if (done.ok) {
    await follow(done.job);
  } else {
    said.textContent = done.reason;
  }
}

hold.addEventListener("pointerdown", press);
hold.addEventListener("keydown", press);
for (const kind of ["pointerup", "pointerleave", "pointercancel", "keyup", "blur"]) {
  hold.addEventListener(kind, release);
}
hold.addEventListener("contextmenu", (event) => event.preventDefault());
confirm.addEventListener("click", goOn);
dialog.addEventListener("closed", lock);
addEventListener("click", (event) => {
  const opener = event.target instanceof Element && event.target.closest("[data-go-on]");
  if (opener) {
    open(opener.dataset.goOn);
  }
});

// After a stop the strip stands on every page, until another attempt has begun; after a pause on those without the
// session's own way on.
addEventListener("myoloop:state", ({ detail: state }) => {
  document.body.dataset.rig = state.rig || "";
  const paused = state.phase && state.phase.state === "paused";
  if (state.stopped && state.session) {
    stripButton.dataset.goOn = state.session.split("/").slice(0, 2).join("/");
    stripText.textContent = "STOPPED. This attempt has ended, or ends now.";
  } else if (state.running) {
    stripButton.dataset.goOn = "";
    stripText.textContent = paused ? "PAUSED" : "";
  }
  const stopped = Boolean(stripButton.dataset.goOn);
  strip.hidden = !stopped && !(state.running && paused && location.pathname !== "/session");
  stripButton.disabled = stopped && state.rig !== "none";
});
