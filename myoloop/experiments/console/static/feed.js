// The page's one link to the running session. States come as events, so that any script may listen:
//   addEventListener("myoloop:state", (event) => event.detail)   the newest state, a plain object
//   addEventListener("myoloop:bins", (event) => event.detail)    an ArrayBuffer of new min-max bins
//   addEventListener("myoloop:answer", (event) => event.detail)  the answer to what this page sent
//   addEventListener("myoloop:link", (event) => event.detail)    "up" or "down"
// Nothing that the session shows is computed with the page's own clock. It only notices that nothing is heard: states
// come ten times a second, without a session too.

const AGAIN_MS = 500;
const AGAIN_MAX_MS = 5000;
const SILENT_MS = 1000;
const LOOK_MS = 100;
const OLD = "not answering: what stands here is old";
let socket = null;
let newest = null;
let again_ms = AGAIN_MS;
let link = "none";
let heard_ms = performance.now();
let looked_ms = performance.now();

function tell(kind, detail) {
  dispatchEvent(new CustomEvent(`myoloop:${kind}`, { detail }));
}

function show(next, text) {
  if (link === next) {
    return;
  }
  link = next;
  const place = document.getElementById("link");
  place.dataset.state = link;
  place.textContent = text;
  // Everything that the session said is greyed, and a line above says why: page.css.
  document.body.dataset.link = link;
  document.getElementById("link-lost").hidden = link === "up";
  tell("link", link);
}

/** A server that is frozen keeps its sockets open: that it is silent is all there is to notice. */
function look() {
  const now_ms = performance.now();
  const late = now_ms - looked_ms > SILENT_MS / 2;
  looked_ms = now_ms;
  // A page that was itself held up first hears what has come meanwhile.
  if (!late && now_ms - heard_ms > SILENT_MS) {
    show("down", OLD);
  }
  setTimeout(look, LOOK_MS);
}

function take(message) {
  if (message.data instanceof ArrayBuffer) {
    tell("bins", message.data);
    return;
  }
  const said = JSON.parse(message.data);
  tell(said.kind, said);
}

addEventListener("myoloop:state", ({ detail }) => {
  newest = detail;
  heard_ms = performance.now();
  show("up", "connected");
});

function connect() {
  socket = new WebSocket(`ws://${location.host}/feed`);
  socket.binaryType = "arraybuffer";
  let opened = false;
  socket.addEventListener("open", () => {
    opened = true;
    again_ms = AGAIN_MS;
    heard_ms = performance.now();
    show("up", "connected");
  });
  socket.addEventListener("message", take);
  socket.addEventListener("close", async () => {
    show("down", "not connected");
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
  if (link !== "up" || socket.readyState !== WebSocket.OPEN) {
    return false;
  }
  socket.send(JSON.stringify("want" in message ? message : { ...message, t_ns: seen() }));
  return true;
}

/** Time of the newest state, by the server's clock: who asks had seen that; null before the first. */
export function seen() {
  return newest ? newest.t_ns : null;
}

/** Whether something was heard within the last second. */
export function isUp() {
  return link === "up";
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
look();
