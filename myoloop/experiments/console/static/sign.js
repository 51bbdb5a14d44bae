// A signature under an attempt; and its report, written by a job of its own.
import { post } from "/static/ask.js";
import "/static/closing.js";

const LOOK_MS = 500;
const attempt = document.getElementById("attempt").dataset.attempt;
const form = document.getElementById("sign");

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const role = form.querySelector('[name="role"]:checked');
  const answer = await post(`/sign/${attempt}/signature`, {
    name: form.querySelector("#name").value,
    role: role ? role.value : "",
    date: form.querySelector("#date").value,
    why: form.querySelector("#why").value,
  });
  if (answer.ok) {
    location.reload();
  } else {
    document.getElementById("refused").textContent = answer.reason;
  }
});

document.getElementById("report").addEventListener("click", async (event) => {
  const said = document.getElementById("report-said");
  const button = event.currentTarget;
  button.disabled = true;
  const started = await post(`/sign/${attempt}/report`, {});
  let how = started.ok ? { state: "running" } : { state: "refused", line: started.reason };
  while (how.state === "running") {
    said.textContent = "The report is being written.";
    await new Promise((again) => {
      setTimeout(again, LOOK_MS);
    });
    const answer = await fetch(`/api/jobs/${started.job}`, { cache: "no-store" });
    how = answer.ok ? await answer.json() : { state: "failed", line: "the console does not answer" };
  }
  said.textContent = how.state === "done" ? "The report is written." : `Not written: ${how.line || how.state}`;
  button.disabled = false;
});
