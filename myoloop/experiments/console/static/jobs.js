// Work beside the console: how each piece of it stands, asked for again once a second while any of it runs.

const LOOKS = { running: "warn", done: "good", failed: "bad", lost: "bad" };
const AGAIN_MS = 1000;

/** One job as an element: word, shape and colour of its state, how far it is, and the last thing that it said. */
export function drawn(job) {
  const item = document.createElement("li");
  item.className = "card";
  item.dataset.job = job.id;
  const title = document.createElement("strong");
  title.textContent = job.title;
  const state = document.createElement("span");
  state.className = LOOKS[job.state] ?? "";
  state.textContent = job.state;
  item.append(title, " ", state);
  if (job.state === "running") {
    const bar = document.createElement("progress");
    bar.setAttribute("aria-label", `How far: ${job.title}`);
    if (job.share !== null) {
      bar.value = job.share;
    }
    item.append(bar);
  }
  if (job.line) {
    const line = document.createElement("p");
    line.className = "line";
    line.textContent = job.line;
    item.append(line);
  }
  return item;
}

/** Follow a job until it has ended; `see` gets it each time. */
export async function follow(name, see) {
  for (;;) {
    const answer = await fetch(`/api/jobs/${encodeURIComponent(name)}`);
    if (!answer.ok) {
      return null;
    }
    const job = await answer.json();
    see?.(job);
    if (job.state !== "running") {
      return job;
    }
    await new Promise((go) => setTimeout(go, AGAIN_MS));
  }
}

async function show(list) {
  const answer = await fetch("/api/jobs");
  if (answer.ok) {
    const { jobs } = await answer.json();
    if (jobs.length) {
      list.replaceChildren(...jobs.map(drawn));
    }
  }
  setTimeout(() => show(list), AGAIN_MS);
}

const list = document.getElementById("jobs");
if (list) {
  show(list);
}
