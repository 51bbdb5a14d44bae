// Everything that changes something goes by one of these: POST with the page's own token; the answer is an object.
import { seen } from "/static/feed.js";

// Longer than the server itself waits for the session.
const ACT_MS = 8000;
const csrf = document.querySelector('meta[name="csrf"]').content;

/** POST `body` as JSON; gives {ok, reason, ...}, also where the server is not there or `signal` ends it. */
export async function post(path, body, signal = null) {
  try {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Myoloop-Csrf": csrf },
      body: JSON.stringify(body),
      signal,
    });
    const type = answer.headers.get("content-type") || "";
    const said = type.startsWith("application/json") ? await answer.json() : { reason: (await answer.text()).trim() };
    return { ok: answer.ok, ...said };
  } catch {
    return { ok: false, reason: "the console's server does not answer" };
  }
}

/** Do an act in the running session, which answers itself; with it goes when what the page shows was so. */
export function act(kind, why = "", values = {}) {
  return post("/api/act", { act: kind, why, arguments: values, t_ns: seen() }, AbortSignal.timeout(ACT_MS));
}

/** One line at the foot of the page. */
export function say(text, kind = "") {
  const place = document.getElementById("said");
  place.textContent = text;
  place.dataset.kind = kind;
}
