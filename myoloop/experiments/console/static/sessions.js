// The list of sessions: those that nobody has read yet are read by a job, and the list is made anew.

import { post } from "/static/ask.js";
import { follow } from "/static/jobs.js";

const button = document.getElementById("read");
const said = document.getElementById("read-said");

button?.addEventListener("click", async () => {
  button.disabled = true;
  const answer = await post("/api/sessions/index", {});
  if (!answer.ok) {
    said.textContent = answer.reason;
    button.disabled = false;
    return;
  }
  const ended = await follow(answer.job, (job) => {
    said.textContent = job.line || "being read …";
  });
  if (ended && ended.state === "done") {
    location.reload();
  } else {
    button.disabled = false;
  }
});
