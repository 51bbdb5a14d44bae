// The page's one link to the running session. States come as events, so that any script may listen:
//   addEventListener("myoloop:state", (event) => event.detail)   the newest state, a plain object
//   addEventListener("myoloop:bins", (event) => event.detail)    an ArrayBuffer of new min-max bins
//   addEventListener("myoloop:answer", (event) => event.detail)  the answer to what this page sent
//   addEventListener("myoloop:link", (event) => event.detail)    "up" or "down"
// Nothing that the session shows is computed with the page's own clock.

const AGAIN_MS = 500;
const AGAIN_MAX_MS = 5000;
let socket = null;
let newest = null;
let again_ms = AGAIN_MS;

function tell(kind, detail) {
  dispatchEvent(new CustomEvent(`myoloop:${kind}`, { detail }));
}

function show(link) {
  const place = document.getElementById("link");
  if (place) {
    place.dataset.state = link;
    place.textContent = link === "up" ? "connected" : "not connected";
  }
  tell("link", link);
}

function take(message) {
  if (message.data instanceof ArrayBuffer) {
    tell("bins", message.data);
    return;
  }
  const said = JSON.parse(message.data);
  if (said.kind === "state") {
    newest = said;
  }
  tell(said.kind, said);
}

function connect() {
  socket = new WebSocket(`ws://${location.host}/feed`);
  socket.binaryType = "arraybuffer";
  let opened = false;
  socket.addEventListener("open", () => {
    opened = true;
    again_ms = AGAIN_MS;
    show("up");
  });
  socket.addEventListener("message", take);
  socket.addEventListener("close", async () => {
    show("down");
    if (!opened && (await isStranger())) {
      // A console that was opened anew knows nobody yet: its printed address is to be opened.
      document.getElementById("link").textContent = "enter again by the console's new address";
      again_ms = AGAIN_MAX_MS;
    }
    setTimeout(connect, again_ms);
    again_ms = Math.min(AGAIN_MAX_MS, 2 * again_ms);
  });
}

async function isStranger() {
  try {
    return (await fetch("/", { method: "HEAD", cache: "no-store" })).status === 401;
  } catch {
    return false;
  }
}

/** Send one message to the session; says whether there was a link to send it by. */
export function send(message) {
  if (!socket || socket.readyState !== WebSocket.OPEN) {
    return false;
  }
  socket.send(JSON.stringify(message));
  return true;
}

/** Give the link up and look for another. */
export function leave() {
  socket.close();
}

/** The newest state, or null before the first. */
export function state() {
  return newest;
}

connect();
