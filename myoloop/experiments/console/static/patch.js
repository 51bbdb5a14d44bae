// A patch is put on the skin, or read; each is a line of its own in the person's record.
import { post } from "/static/ask.js";
import { wire } from "/static/forms.js";

const person = document.getElementById("patch").dataset.person;
const refused = document.getElementById("refused");

for (const form of document.querySelectorAll("form[data-form]")) {
  wire(form, async (answers) => {
    const answer = await post(`/patch/${person}`, { form: form.dataset.form, answers });
    refused.hidden = answer.ok;
    refused.textContent = answer.ok ? "" : answer.reason;
    if (answer.ok) {
      location.reload();
    }
    return answer;
  });
}
