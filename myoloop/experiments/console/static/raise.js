// Hold to raise: while it is held the session is asked every 100 ms, and it forgets after 200 ms. Letting go, leaving
// the window or losing the link stops the asking at once; the session needs no word for that.
import { send } from "/static/feed.js";

const EVERY_MS = 100;

/** Make `button` and a held arrow-up key raise what `channel()` names, while `may()` says so; `say` tells refusals. */
export function holdToRaise(button, channel, may, say) {
  let timer = 0;
  let asked = 0;

  function ask() {
    if (!may()) {
      letGo();
      return;
    }
    asked += 1;
    if (!send({ raise: channel(), id: `raise-${asked}` })) {
      letGo();
      say("Not connected: nothing is raised.");
    }
  }

  function hold() {
    if (timer || !may()) {
      return;
    }
    button.dataset.held = "on";
    button.setAttribute("aria-pressed", "true");
    timer = setInterval(ask, EVERY_MS);
    ask();
  }

  function letGo() {
    clearInterval(timer);
    timer = 0;
    delete button.dataset.held;
    button.setAttribute("aria-pressed", "false");
  }

  button.setAttribute("aria-pressed", "false");
  button.addEventListener("pointerdown", (event) => {
    if (event.button === 0) {
      button.setPointerCapture(event.pointerId);
      hold();
    }
  });
  for (const over of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) {
    button.addEventListener(over, letGo);
  }
  button.addEventListener("contextmenu", (event) => event.preventDefault());
  const raises = (event) => event.key === "ArrowUp" || (event.key === "Enter" && event.target === button);
  addEventListener("keydown", (event) => {
    const inText = event.target instanceof HTMLInputElement && event.target.type !== "radio";
    if (raises(event) && !inText && may()) {
      event.preventDefault();
      hold();
    }
  });
  addEventListener("keyup", (event) => {
    if (event.key === "ArrowUp" || event.key === "Enter") {
      letGo();
    }
  });
  addEventListener("blur", letGo);
  addEventListener("pagehide", letGo);
  document.addEventListener("visibilitychange", letGo);
  addEventListener("myoloop:link", letGo);
  addEventListener("myoloop:stop-sent", letGo);
  addEventListener("myoloop:answer", ({ detail: answer }) => {
    if (answer.id?.startsWith("raise-") && !answer.ok) {
      say(answer.reason);
    }
  });
  return letGo;
}
