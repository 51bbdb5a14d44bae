// Hold to raise: while it is held the session is asked every 100 ms, and it forgets after 200 ms. Letting go, leaving
// the window, a dialog or losing the link stops the asking at once; the session needs no word for that.
import { send } from "/static/feed.js";

const EVERY_MS = 100;

/** Make `button` and a held arrow-up key raise what `channel()` names, while `may()` says so; `say` tells refusals. */
export function holdToRaise(button, channel, may, say) {
  let timer = 0;
  let asked = 0;

  const fits = () => may() && document.querySelector(".dialog:not([hidden])") === null;

  function ask() {
    if (!fits()) {
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
    if (timer || !fits()) {
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
  // A key raises only while nothing else could mean it: no field, no other button, no list has the focus.
  const elsewhere = (target) => target !== button && target !== document.body && !target.matches("main, h1");
  const raises = ({ key, target }) => (key === "ArrowUp" ? !elsewhere(target) : key === "Enter" && target === button);
  addEventListener("keydown", (event) => {
    if (raises(event) && fits()) {
      event.preventDefault();
      // A key that was held before this was asked for begins nothing.
      if (!event.repeat) {
        hold();
      }
    }
  });
  addEventListener("focusin", (event) => {
    if (timer && elsewhere(event.target)) {
      letGo();
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
