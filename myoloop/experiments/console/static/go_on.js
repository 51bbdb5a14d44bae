// Go on after a stop (a new attempt at the session) or after a pause: a reason, then two deliberate acts, a switch that
// is held and a confirmation. Any element with data-go-on opens the dialog: data-go-on="" after a pause,
// data-go-on="sub-X/ses-NN" for a new attempt.

import { act, post, say } from "/static/ask.js";
import { closeDialog, openDialog } from "/static/dialog.js";
import { isUp, seen } from "/static/feed.js";

const HOLD_MS = 1000;
const OPEN_MS = 10000;
const LOOK_MS = 300;
// The attempt that was stopped is closed first, with its report. A yes that is older than this is asked for again.
const CLOSING_MS = 20000;
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
// Of what is being asked; aborted with the dialog, so that nothing begins after somebody has thought better of it.
let asking = new AbortController();

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

// What identifies a person, or opens a key file, does not stay behind in a page.
function empty() {
  for (const each of dialog.querySelectorAll('input[type="text"], input[type="password"]')) {
    each.value = "";
  }
  said.textContent = "";
  lock();
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
    }
  }
  empty();
  asking = new AbortController();
  openDialog("go-on");
}

function press(event) {
  if (holding || (event.type === "keydown" && event.key !== "Enter")) {
    return;
  }
  event.preventDefault();
  if (!isUp()) {
    said.textContent = "No link to the session: nothing can go on.";
    return;
  }
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

async function follow(job, signal) {
  while (!signal.aborted) {
    // What has begun is looked at to its end, or until nobody looks any more.
    const answer = await fetch(`/api/jobs/${job}`, { signal });
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

async function afterPause(why) {
  const done = await act("resume", why);
  said.textContent = done.ok ? "" : done.reason;
  if (done.ok) {
    say("The session goes on.");
    closeDialog();
  }
}

/** Ask for a new attempt until it begins, is refused, or the one that was stopped takes too long to be closed. */
async function afterStop(body, signal) {
  said.textContent = "Starting";
  for (let waited_ms = 0; !signal.aborted; waited_ms += LOOK_MS) {
    const done = await post("/api/go-on", { ...body, t_ns: seen() }, signal);
    if (signal.aborted) {
      return;
    }
    if (done.ok) {
      await follow(done.job, signal);
      return;
    }
    if (!done.busy || waited_ms >= CLOSING_MS) {
      said.textContent = done.busy ? "The stopped attempt is still being closed. Hold and confirm again." : done.reason;
      return;
    }
    said.textContent = "The stopped attempt is being closed";
    await pass(LOOK_MS);
  }
}

async function goOn() {
  const why = reason();
  lock();
  // Of two that ask, the later one counts.
  asking.abort();
  asking = new AbortController();
  if (!session) {
    await afterPause(why);
    return;
  }
  const body = { session, why, same_electrodes: document.getElementById("go-on-same").checked };
  for (const name of ["second", "passphrase"]) {
    const field = document.getElementById(`go-on-${name}`);
    if (field) {
      body[name] = field.value;
    }
  }
  const { signal } = asking;
  try {
    await afterStop(body, signal);
  } catch (error) {
    if (!signal.aborted) {
      said.textContent = `It is not known whether it began: ${error.message}`;
    }
  }
}

hold.addEventListener("pointerdown", press);
hold.addEventListener("keydown", press);
for (const kind of ["pointerup", "pointerleave", "pointercancel", "keyup", "blur"]) {
  hold.addEventListener(kind, release);
}
hold.addEventListener("contextmenu", (event) => event.preventDefault());
confirm.addEventListener("click", goOn);
dialog.addEventListener("closed", () => {
  asking.abort();
  empty();
});
addEventListener("myoloop:stop-sent", () => {
  asking.abort();
  lock();
});
addEventListener("myoloop:link", ({ detail }) => {
  if (detail === "down") {
    asking.abort();
    lock();
  }
});
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
