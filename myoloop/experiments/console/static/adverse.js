// An adverse event is reported, or there was none; later lines are added, nothing is written over.
import { post } from "/static/ask.js";
import "/static/closing.js";
import { answersIn, wire } from "/static/forms.js";

const care = document.getElementById("care");
const person = care.dataset.person;
const refused = document.getElementById("refused");

function done(answer) {
  refused.hidden = answer.ok;
  refused.textContent = answer.ok ? "" : answer.reason;
  if (answer.ok) {
    location.reload();
  }
  return answer;
}

document.getElementById("none")?.addEventListener("click", async () => {
  done(await post(`/adverse/${person}/none`, { attempt: care.dataset.attempt }));
});

wire(document.getElementById("report"), async (answers) => {
  const of = document.getElementById("of-session");
  const session = of && of.checked ? Number(care.dataset.session) : null;
  return done(await post(`/adverse/${person}/report`, { answers, session }));
});

for (const form of document.querySelectorAll("form.later")) {
  const before = JSON.stringify(answersIn(form));
  wire(form, async (answers) => {
    const kind = form.querySelector('[name="later-kind"]:checked').value;
    const why = form.querySelector(".why").value.trim();
    const changed = JSON.stringify(answers) === before ? {} : answers;
    const answer = done(
      await post(`/adverse/${person}/later`, { number: Number(form.dataset.number), kind, why, answers: changed }),
    );
    form.querySelector(".said").textContent = answer.ok ? "" : answer.reason;
    return answer;
  });
}
