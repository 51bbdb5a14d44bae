// The person's own screen: what to do now and for how long, their own effort, pain, what they feel. STOP is above it.

import { act } from "/static/ask.js";
import * as feed from "/static/feed.js";

// The bar reaches a little beyond the line, so that more than enough is seen too.
const BAR_TO = 1.25;
const find = (id) => document.getElementById(id);

function show(state) {
  const phase = state.phase;
  const stopped = state.stopped || state.gate?.latched;
  let prompt = "Please wait";
  if (stopped) {
    prompt = "Stopped. Nothing flows now.";
  } else if (phase?.state === "ended") {
    prompt = "It is over. Thank you.";
  } else if (phase?.state === "paused") {
    prompt = "A pause. Rest.";
  } else if (phase?.prompt) {
    prompt = phase.prompt;
  } else if (phase?.kind === "rest") {
    prompt = "Rest";
  }
  if (find("prompt").textContent !== prompt) {
    find("prompt").textContent = prompt;
  }
  const left_s = phase?.state === "running" ? (phase.state_left_s ?? null) : null;
  find("left").textContent = left_s === null || stopped ? "" : `${Math.ceil(left_s)} s`;
  find("felt").hidden = phase?.kind !== "calibration" || phase?.state === "ended" || Boolean(stopped);
  effort(state.muscles);
  const pain = state.pain?.at(-1);
  for (const each of document.querySelectorAll("[data-score]")) {
    each.setAttribute("aria-pressed", String(pain !== undefined && Number(each.dataset.score) === pain.score));
  }
}

// While an effort is waited for the line is where it counts; else it is what the person pulled when it was measured.
const COUNTS = "The line is where your effort counts.";
const MEASURED = "The line is as strong as you pulled when it was measured today.";

function share(muscle) {
  const { activity_uv: activity, threshold_uv: threshold } = muscle;
  if (Number.isFinite(activity) && threshold > 0) {
    return { value: activity / threshold, hint: COUNTS };
  }
  return muscle.effort?.valid ? { value: muscle.effort.value, hint: MEASURED } : null;
}

function effort(muscles) {
  const heard = (muscles ?? []).map((each) => ({ name: each.name, ...share(each) })).filter((each) => each.hint);
  find("effort").hidden = heard.length === 0;
  const hint = heard[0]?.hint ?? "";
  if (find("effort-hint").textContent !== hint) {
    find("effort-hint").textContent = hint;
  }
  const place = find("muscles");
  while (place.children.length > heard.length) {
    place.lastChild.remove();
  }
  heard.forEach((muscle, i) => {
    const row = place.children[i] ?? place.appendChild(bar());
    const value = Math.max(0, muscle.value);
    const there = value >= 1;
    row.querySelector(".name").textContent = muscle.name.replaceAll("_", " ");
    const fill = row.querySelector(".fill");
    // A style of the page's own script: the policy refuses those that stand in markup alone.
    fill.style.width = `${(100 * Math.min(value, BAR_TO)) / BAR_TO}%`;
    fill.dataset.there = there ? "1" : "";
    row.querySelector(".word").textContent = there ? "✓ there" : `${Math.round(100 * value)} %`;
    row.querySelector(".bar").setAttribute("aria-valuenow", String(Math.round(100 * Math.min(value, BAR_TO))));
  });
}

function bar() {
  const row = document.createElement("div");
  row.className = "effort";
  const name = Object.assign(document.createElement("span"), { className: "name" });
  const box = Object.assign(document.createElement("div"), { className: "bar" });
  box.setAttribute("role", "progressbar");
  box.setAttribute("aria-label", "Your effort, % of the line");
  box.setAttribute("aria-valuemin", "0");
  box.setAttribute("aria-valuemax", String(100 * BAR_TO));
  const target = Object.assign(document.createElement("div"), { className: "target" });
  target.style.left = `${100 / BAR_TO}%`;
  box.append(Object.assign(document.createElement("div"), { className: "fill" }), target);
  row.append(name, box, Object.assign(document.createElement("span"), { className: "word" }));
  return row;
}

for (const each of document.querySelectorAll("[data-score]")) {
  each.addEventListener("click", async () => {
    const score = Number(each.dataset.score);
    find("pain-said").textContent = "…";
    const answer = await act("score", "", { score });
    find("pain-said").textContent = answer.ok ? `You said ${score}.` : `Not taken: ${answer.reason}. Please say it aloud.`;
  });
}
for (const each of document.querySelectorAll("[data-felt]")) {
  // At the touch, not at its end: what is felt is felt now.
  let touched_ms = -Infinity;
  const felt = async () => {
    const answer = await act("felt", "", { what: each.dataset.felt });
    find("left").textContent = answer.ok ? "✓" : `Not taken: ${answer.reason}. Please say it aloud.`;
  };
  each.addEventListener("pointerdown", (event) => {
    touched_ms = event.timeStamp;
    felt();
  });
  each.addEventListener("click", (event) => {
    if (event.timeStamp - touched_ms > 700) {
      felt();
    }
  });
}

addEventListener("myoloop:state", ({ detail }) => show(detail));
addEventListener("myoloop:link", ({ detail }) => {
  if (detail !== "up") {
    find("prompt").textContent = "This screen has lost its link. Say what you need aloud.";
  }
});
if (feed.state()) {
  show(feed.state());
}
