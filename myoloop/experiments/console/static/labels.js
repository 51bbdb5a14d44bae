// Events that the detector found, corrected by a person. Every change is an act that the session's review keeps with who,
// when and why; the server does it or says why not.

import { post } from "/static/ask.js";

const STATES = { open: "warn", confirmed: "good", moved: "good", reclassed: "good", added: "good", rejected: "bad" };

/** Begin the table; `load(facts)` fills it. `changed` gets the rows, `go` shows a moment. */
export function beginLabels({ api, mayAct, changed, go }) {
  const table = document.getElementById("labels");
  const said = document.getElementById("labels-said");
  const why = document.getElementById("why");
  const value = (id) => document.getElementById(id)?.value ?? "";
  const number = (text) => (text === "" ? null : Number(text));

  function show(review) {
    scores(review.scores);
    table.replaceChildren(...review.labels.map(row));
    const last = document.getElementById("last");
    last.replaceChildren(
      ...review.last.slice(0, 8).map((each) => {
        const item = document.createElement("li");
        item.textContent = `${each.wall_utc.slice(0, 19).replace("T", " ")} UTC, ${each.who} (${each.role}): ${each.act} ${each.what}${each.why ? `: ${each.why}` : ""}`;
        return item;
      }),
    );
    changed(review.labels);
  }

  function scores(rows) {
    const place = document.getElementById("scores");
    const plain = (number) => (number === null ? "–" : number.toFixed(2));
    place.replaceChildren(
      ...rows.map((each) => {
        const line = document.createElement("p");
        const figures = each.open ? each.why : `F1 ${plain(each.f1)}, precision ${plain(each.precision)}, recall ${plain(each.recall)} (${each.matched} matched, ${each.missed} missed, ${each.false} false)${each.why ? `; ${each.why}` : ""}`;
        line.textContent = `${each.class}: ${each.labels} labels, ${each.detected} detections: ${figures}`;
        return line;
      }),
    );
  }

  function row(label) {
    const line = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    const show = document.createElement("button");
    show.type = "button";
    show.textContent = `${label.class}, ${label.muscle}`;
    show.setAttribute("aria-label", `Show ${label.id}`);
    show.addEventListener("click", () => go(label.begin_s));
    head.append(show);
    line.append(head);
    const begin = field(label, "from", label.begin_s);
    const end = field(label, "to", label.end_s);
    line.insertCell().append(begin);
    line.insertCell().append(end);
    const state = document.createElement("span");
    state.className = STATES[label.state] ?? "";
    state.textContent = label.state;
    line.insertCell().append(state);
    const acts = line.insertCell();
    if (mayAct) {
      acts.append(
        button("Right", `Confirm ${label.id}`, () => act({ act: "confirm", id: label.id })),
        button("None", `Reject ${label.id}`, () => act({ act: "reject", id: label.id })),
        button("Move", `Move ${label.id}`, () => act({ act: "move", id: label.id, begin_s: number(begin.value), end_s: number(end.value) })),
      );
    }
    return line;
  }

  function field(label, what, value_s) {
    const input = document.createElement(mayAct ? "input" : "span");
    if (!mayAct) {
      input.textContent = value_s === null ? "the end" : value_s.toFixed(2);
      return input;
    }
    input.type = "number";
    input.min = "0";
    input.step = "0.001";
    input.value = value_s === null ? "" : value_s.toFixed(3);
    input.setAttribute("aria-label", `${label.id}, ${what} (s)`);
    return input;
  }

  function button(text, name, press) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.setAttribute("aria-label", name);
    made.addEventListener("click", press);
    return made;
  }

  async function act(one) {
    said.textContent = "";
    const answer = await post(`${api}/labels`, { acts: [{ ...one, why: why.value.trim() }] });
    if (answer.ok) {
      show(answer);
      why.value = "";
    } else {
      said.textContent = answer.reason;
      why.focus();
    }
  }

  document.getElementById("add")?.addEventListener("click", () =>
    act({ act: "add", class: value("add-class"), muscle: value("add-muscle"), begin_s: number(value("add-from")), end_s: number(value("add-to")) }),
  );
  document.getElementById("looked")?.addEventListener("click", () => act({ act: "whole", class: value("add-class"), muscle: "" }));

  return {
    async load(facts) {
      document.getElementById("add-muscle")?.replaceChildren(...facts.muscles.map((name) => new Option(name)));
      const answer = await fetch(`${api}/labels`);
      if (answer.ok) {
        show(await answer.json());
      } else {
        said.textContent = "The labels cannot be read.";
      }
    },
  };
}
