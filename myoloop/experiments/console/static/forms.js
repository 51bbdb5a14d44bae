// A form made of questions: what is asked only after another answer, what stands beside no other, and what is wrong.

function answersOf(form, name) {
  return [...form.querySelectorAll(`[name="${CSS.escape(name)}"]`)]
    .filter((each) => !each.disabled && (!["radio", "checkbox"].includes(each.type) || each.checked))
    .map((each) => each.value)
    .filter((value) => value !== "");
}

/** Show only what is asked beside the present answers; what is hidden is not sent. */
function showAsked(form) {
  for (const question of form.querySelectorAll("[data-asked-if]")) {
    const wanted = question.dataset.askedValues.split(" ");
    const asked = answersOf(form, question.dataset.askedIf).some((value) => wanted.includes(value));
    question.hidden = !asked;
    for (const each of question.querySelectorAll("input, select")) {
      each.disabled = !asked;
    }
  }
}

function keepAlone(input) {
  const alone = input.closest("fieldset")?.dataset.alone?.split(" ");
  if (!alone || !input.checked) {
    return;
  }
  for (const each of input.closest("fieldset").querySelectorAll('input[type="checkbox"]')) {
    if (each !== input && (alone.includes(input.value) || alone.includes(each.value))) {
      each.checked = false;
    }
  }
}

/** Everything that is answered, as lists of texts by question. */
export function answersIn(form) {
  const found = {};
  for (const question of form.querySelectorAll("[data-question]")) {
    const name = question.dataset.question;
    const texts = answersOf(form, name);
    if (texts.length && name !== "_of") {
      found[name] = texts;
    }
  }
  return found;
}

/** Say at each question what is wrong with it; the first one gets the focus. */
export function showMistakes(form, mistakes) {
  let first = null;
  for (const place of form.querySelectorAll(".question")) {
    const name = place.dataset.question;
    const said = mistakes[name] || "";
    place.querySelector(":scope > .wrong").textContent = said;
    place.classList.toggle("mistaken", Boolean(said));
    for (const each of place.querySelectorAll(":is(input, select)")) {
      each.setAttribute("aria-invalid", String(Boolean(said)));
    }
    first = first || (said ? place.querySelector("input, select") : null);
  }
  const known = new Set([...form.querySelectorAll(".question")].map((each) => each.dataset.question));
  const others = Object.entries(mistakes).filter(([name]) => !known.has(name));
  const whole = form.querySelector(".wrong.whole");
  if (whole) {
    whole.textContent = others.map(([name, said]) => (name ? `${name}: ${said}` : said)).join("; ");
  }
  first?.focus();
}

/** Make a form's questions follow one another; `send(answers)` gives {ok, mistakes, reason} once it is submitted. */
export function wire(form, send) {
  form.addEventListener("change", (event) => {
    if (event.target.type === "checkbox") {
      keepAlone(event.target);
    }
    showAsked(form);
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = event.submitter || form.querySelector('[type="submit"]');
    button.disabled = true;
    const answer = await send(answersIn(form));
    button.disabled = false;
    const mistakes = answer.mistakes || {};
    const told = Object.keys(mistakes).length > 0;
    showMistakes(form, told ? mistakes : answer.ok ? {} : { "": answer.reason });
  });
  showAsked(form);
}

/** Fetch a part of a page into a place; says whether it came. */
export async function fetchInto(place, path) {
  try {
    const answer = await fetch(path, { cache: "no-store" });
    const text = await answer.text();
    if (!answer.ok) {
      place.textContent = "This form cannot be shown. Reload the page.";
      return false;
    }
    place.replaceChildren(...new DOMParser().parseFromString(text, "text/html").body.childNodes);
    return true;
  } catch {
    place.textContent = "The console's server does not answer.";
    return false;
  }
}
