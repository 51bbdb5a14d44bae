// Who supervises looks on, and may pause, mark and end; STOP is above. Nothing here makes current.

import { act, say } from "/static/ask.js";

const ending = document.getElementById("ending");
const why = document.getElementById("why");

async function ask(kind, reason = "") {
  const answer = await act(kind, reason);
  say(answer.ok ? `${kind}: done` : `${kind}: ${answer.reason}`, answer.ok ? "" : "bad");
  return answer.ok;
}

for (const each of document.querySelectorAll("[data-act]")) {
  each.addEventListener("click", () => ask(each.dataset.act));
}
document.getElementById("end").addEventListener("click", () => {
  ending.hidden = false;
  why.focus();
});
document.getElementById("go-on").addEventListener("click", () => {
  ending.hidden = true;
});
ending.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (await ask("end", why.value.trim())) {
    ending.hidden = true;
  }
});
