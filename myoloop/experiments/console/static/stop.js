// STOP, on every page. It depends on nothing but the browser: both posts leave at once, whatever else is the matter
// here; other scripts of the page are loaded after it.

// The stimulator's own words for giving no current. Only the first is its answer to a stop.
const ACKNOWLEDGED = {
  STOPPED: "STOPPED, the stimulator has acknowledged",
  FAULT: "No current: the stimulator is at FAULT",
  DISCONNECTED: "The stimulator has lost its device: look at it",
};
const TEXT_FIELDS = new Set(["text", "search", "email", "number", "tel", "url", "password", "date", "time",
  "datetime-local", "month", "week"]);
const SAME_PRESS_MS = 700;
const NONE_HERE = "STOP sent; no stimulator runs here";
const HANGS_MS = 4000;
const OBEYED_NS = 2_000_000_000;

const button = document.getElementById("stop");
const said = document.getElementById("stop-said");
let ports = (document.body.dataset.stopPorts || "").split(" ").filter(Boolean);
let armed = false;
let running = "running" in document.body.dataset;
let sent = false;
// What was told last: the time, the session, and whether it ran.
let told_ns = 0;
let sent_ns = 0;
let session = null;
let pressed_ms = -Infinity;

function show(state, text) {
  button.dataset.state = state;
  said.textContent = text;
}

/** Stop the stimulator, now: by the stop node and by the console's server at once, whichever is quicker. */
export function stop(how) {
  const options = { method: "POST", cache: "no-store", credentials: "omit", body: how };
  const ways = ports.map((port) => fetch(`http://127.0.0.1:${port}/`, { ...options, mode: "cors", keepalive: true }));
  // Posts that outlive the page are few in a browser: those to a server that hangs must not use them up.
  const own = { mode: "same-origin", keepalive: ways.length === 0, signal: AbortSignal.timeout(HANGS_MS) };
  ways.push(fetch("/stop", { ...options, ...own }));
  sent = true;
  sent_ns = told_ns;
  show("sent", "STOP sent");
  dispatchEvent(new CustomEvent("myoloop:stop-sent", { detail: how }));
  let failed = 0;
  for (const way of ways) {
    way
      .then(async (answer) => {
        if (!answer.ok) {
          throw new Error(String(answer.status));
        }
        if ((await answer.json()).sent === true && button.dataset.state === "sent") {
          show("reached", "STOP has reached the stimulator");
        }
      })
      .catch(() => {
        failed += 1;
        if (failed === ways.length && button.dataset.state === "sent") {
          show("unheard", running ? "STOP reached nobody: use the device's own switch" : NONE_HERE);
        }
      });
  }
}

function writesText(target) {
  if (!(target instanceof HTMLElement)) {
    return false;
  }
  return (
    target.isContentEditable ||
    target instanceof HTMLTextAreaElement ||
    (target instanceof HTMLInputElement && TEXT_FIELDS.has(target.type))
  );
}

// On the way down, before anything of the page can keep it for itself.
addEventListener(
  "keydown",
  (event) => {
    const space = event.code === "Space" || event.key === " ";
    if (event.key !== "F12" && !(space && (armed || !writesText(event.target)))) {
      return;
    }
    event.preventDefault();
    event.stopImmediatePropagation();
    if (!event.repeat) {
      stop(event.key === "F12" ? "F12" : "space");
    }
  },
  { capture: true },
);
// A button that has the focus answers to the release of SPACE.
addEventListener(
  "keyup",
  (event) => {
    if (event.code === "Space" && !writesText(event.target)) {
      event.preventDefault();
    }
  },
  { capture: true },
);
button.addEventListener("pointerdown", (event) => {
  pressed_ms = event.timeStamp;
  stop("button");
});
button.addEventListener("click", (event) => {
  if (event.timeStamp - pressed_ms > SAME_PRESS_MS) {
    stop("button");
  }
});

/** What was said of a stop holds for the session that it stopped, and for no other. */
function begin(state) {
  const now = state.running ? state.session : "";
  if (now === session) {
    return;
  }
  if (now && session !== null) {
    sent = false;
    show("ready", "");
  } else if (!now && session && button.dataset.state !== "ready") {
    const stopped = button.dataset.state === "acknowledged" ? `${said.textContent}. ` : "";
    sent = false;
    show("ended", `${stopped}The session has ended`);
  }
  session = now;
}

addEventListener("myoloop:state", ({ detail: state }) => {
  // A port that is known is given up for another one only: to post to one that is closed costs nothing.
  if (state.stop_ports && state.stop_ports.length > 0) {
    ports = state.stop_ports.map(String);
  }
  told_ns = state.t_ns || 0;
  running = Boolean(state.running);
  begin(state);
  const gate = state.gate && state.gate.state;
  armed = ["ARMED", "STIMULATING", "CALIBRATING"].includes(gate);
  if (state.stopped) {
    const who = state.stopped.who ? ` (${state.stopped.who})` : "";
    show("acknowledged", `${ACKNOWLEDGED.STOPPED}${who}`);
  } else if (sent && gate in ACKNOWLEDGED) {
    show("acknowledged", ACKNOWLEDGED[gate]);
  } else if (sent && armed && button.dataset.state !== "acknowledged" && told_ns - sent_ns > OBEYED_NS) {
    show("unheard", "STOP was sent and the stimulator is still on: use the device's own switch");
  } else if (!sent && running && button.dataset.state !== "ready") {
    show("ready", "");
  }
  if (armed && button.dataset.state === "acknowledged") {
    // Somebody has gone on since, by two acts and with a reason.
    sent = false;
    show("ready", "");
  }
});

// Who has not entered is told nothing.
if (document.body.dataset.role !== "nobody") {
  import("/static/feed.js");
}
