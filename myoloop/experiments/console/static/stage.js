// Which of the page's screens the session is at: from the newest state alone.

const BY_WAIT = {
  confirm: "confirm",
  form: "form",
  override: "override",
  retry: "checks",
  arm: "arm",
  arm_calibration: "arm",
  step: "threshold",
  approve_envelope: "approve",
  resume: "paused",
};
const BY_KIND = { checks: "checks", mvc: "mvc", block: "run", optimise: "run" };

/** The screen for a state. */
export function stageOf(state) {
  const phase = state.phase;
  if (!phase) {
    return state.rig === "none" ? "none" : "starting";
  }
  if (phase.state === "ended") {
    return "ended";
  }
  if (phase.state === "paused") {
    return "paused";
  }
  if (phase.waiting_for) {
    return BY_WAIT[phase.waiting_for] || "busy";
  }
  if (phase.state === "waiting") {
    return phase.session_s > 0 ? "busy" : "starting";
  }
  if (phase.kind === "calibration") {
    return phase.armed ? "threshold" : "busy";
  }
  return BY_KIND[phase.kind] || "busy";
}

/** The channel that is raised or armed: the one with a target now. */
export function channelOf(state) {
  const channels = state.channels || [];
  const now = channels.find((each) => each.level !== null && each.level !== undefined);
  return (now || (channels.length === 1 ? channels[0] : { name: "" })).name;
}

/** Seconds as a clock shows them. */
export function clock(seconds) {
  if (seconds === null || seconds === undefined) {
    return "";
  }
  const whole = Math.max(0, Math.ceil(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
