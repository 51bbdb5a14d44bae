// The forms of a running session: fetched when they are asked for, checked by the server, taken by the session.
import { act, post } from "/static/ask.js";
import { ask } from "/static/asking.js";
import { closeDialog, openDialog } from "/static/dialog.js";
import { fetchInto, wire } from "/static/forms.js";

let formId = "";
let overrideItem = "";

const AGAIN_MS = 1000;

const byId = (id) => document.getElementById(id);

/** What was shown is asked for anew when the session comes back to it. */
export function forget(stage) {
  formId = stage === "form" ? formId : "";
  overrideItem = ["override", "checks"].includes(stage) ? overrideItem : "";
}

function missingTicks(form) {
  const ticks = form.querySelector(".ticks");
  const missing = ticks ? [...ticks.querySelectorAll("[data-tick]")].filter((each) => !each.checked) : [];
  if (ticks) {
    ticks.querySelector(".wrong").textContent = missing.length ? "Not ticked yet." : "";
    missing[0]?.focus();
  }
  return missing.length > 0;
}

async function sendForm(form, named, answers) {
  if (missingTicks(form)) {
    return { ok: false, reason: "An electrode is not ticked." };
  }
  const of = form.querySelector('[name="_of"]');
  const whose = of ? `${named}.${of.value.trim()}` : named;
  const checked = await post(`/session/form/${encodeURIComponent(whose)}`, { answers });
  if (!checked.ok) {
    return checked;
  }
  const ticks = form.querySelector(".ticks");
  if (ticks) {
    const placed = [...ticks.querySelectorAll("[data-tick]")].map((each) => each.dataset.tick);
    const marked = await act("mark", `placed at ${ticks.dataset.site}: ${placed.join("; ")}`);
    if (!marked.ok) {
      return marked;
    }
  }
  return ask("form", "", { form: whose, values: checked.values });
}

/** Show the form that is asked for now, unless it is there already. */
export async function showForm(phase) {
  const next = phase.forms[0] || "";
  const left = document.querySelector("[data-forms-left]");
  left.textContent = phase.forms.length > 1 ? `${phase.forms.length} forms to go` : "last form";
  if (next === formId) {
    return;
  }
  formId = next;
  const place = byId("form");
  // Nobody answers once more what has been answered.
  place.replaceChildren();
  const there = next && (await fetchInto(place, `/session/form/${encodeURIComponent(next)}`));
  if (next && !there) {
    setTimeout(forget, AGAIN_MS, "");
  }
  if (there) {
    const form = place.querySelector("form");
    wire(form, (answers) => sendForm(form, next, answers));
    const heading = place.querySelector("h1");
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

/** Show what screening or a check objects to, and the form with which a named person takes it upon themselves. */
export async function showOverride(place, items, wrong) {
  const item = items[0] || "";
  const blocked = byId("blocked");
  const text = items.map((name) => (wrong[name] ? `${name.replaceAll("_", " ")}: ${wrong[name]}` : name)).join("\n");
  if (blocked.textContent !== text) {
    blocked.textContent = text;
  }
  if (item === overrideItem) {
    return;
  }
  overrideItem = item;
  if (item && (await fetchInto(place, `/session/override/${encodeURIComponent(item)}`))) {
    const form = place.querySelector("form");
    wire(form, async (answers) => {
      const checked = await post(`/session/override/${encodeURIComponent(item)}`, { answers });
      return checked.ok ? ask("override", checked.values.reason, checked.values) : checked;
    });
  }
}

/** Show one of the forms that may be filled in at any time, in a dialog. */
export async function anyForm(name, now_s) {
  const place = byId("any-form");
  if (await fetchInto(place, `/session/form/${name}`)) {
    const form = place.querySelector("form");
    form.querySelector('[name="_of"]').value = `n${Math.floor(now_s) % 1000000}`;
    wire(form, async (answers) => {
      const answer = await sendForm(form, name, answers);
      if (answer.ok) {
        closeDialog();
      }
      return answer;
    });
    openDialog("dialog-form");
  }
}
