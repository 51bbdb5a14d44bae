// An act of the operator at a page: asked of the running session, and what became of it said at the foot of the page.
import { act, say } from "/static/ask.js";

const DONE = {
  pause: "pauses after this train", hold: "waits before the next trial", mark: "marked", score: "pain is recorded",
  attend: "you are here", retry: "checks again", form: "saved", override: "the override is recorded", felt: "recorded",
  level: "level is set", electrode_changed: "recorded: thresholds are measured anew", skip_mvc: "goes on without it",
};

/** Ask it of the session, and say what became of it. */
export async function ask(kind, why = "", values = {}) {
  const answer = await act(kind, why, values);
  say(answer.ok ? DONE[kind] || "done" : answer.reason, answer.ok ? "" : "bad");
  return answer;
}
