// Who is there, then begin. What is typed of a person stays in this page's fields and leaves them with the page.
import { post } from "/static/ask.js";
import { reasonIn } from "/static/reasons.js";

const LOOK_MS = 400;
const person = document.getElementById("person").dataset.person;
const second = document.getElementById("second");
const refused = document.getElementById("refused");
const starting = document.getElementById("starting");

function known() {
  if (!second) {
    return {};
  }
  const passphrase = document.getElementById("passphrase");
  return {
    second: `${document.getElementById("initials").value.trim()} ${document.getElementById("year").value.trim()}`,
    ...(passphrase ? { passphrase: passphrase.value } : {}),
  };
}

function refuse(reason) {
  refused.textContent = reason;
  refused.hidden = !reason;
  starting.textContent = "";
}

second?.addEventListener("submit", async (event) => {
  event.preventDefault();
  refuse("");
  const said = document.getElementById("second-said");
  said.className = "";
  said.textContent = "checking";
  const answer = await post(`/day/${person}/check`, known());
  said.className = answer.ok ? "good" : "bad";
  said.textContent = answer.ok ? "This is the person" : answer.reason;
  const start = document.getElementById("start");
  if (start) {
    start.hidden = !answer.ok;
  }
});

/** Wait until the rig is up, or say why it is not. */
async function follow(job) {
  starting.textContent = "The rig comes up. Nothing is armed.";
  for (;;) {
    const answer = await fetch(`/day/job/${job}`, { cache: "no-store" });
    const stands = answer.ok ? await answer.json() : { state: "lost", line: "the console does not answer" };
    if (stands.running) {
      location.assign("/session");
      return;
    }
    if (stands.state !== "running") {
      refuse(stands.line || "the session ended before it began");
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

async function begin(path, body) {
  refuse("");
  const answer = await post(path, { ...known(), ...body });
  if (answer.ok) {
    await follow(answer.job);
  } else {
    refuse(answer.reason);
  }
}

document.getElementById("start")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.submitter;
  button.disabled = true;
  const protocol = document.getElementById("protocol");
  await begin(`/day/${person}/start`, protocol ? { protocol: protocol.value } : {});
  button.disabled = false;
});

const close = document.getElementById("close");
close?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await post(`/day/${person}/close`, { why: reasonIn(close) });
  if (answer.ok) {
    location.reload();
  } else {
    refuse(answer.reason);
  }
});
