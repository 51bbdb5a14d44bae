// The signal check as lights: a colour, a shape and a word for each thing that must be right.

const CHECKS = { device: "Stimulator", noise: "Noise", impedance: "Impedance", selectivity: "The right muscle answers" };
const WORDS = { good: "good", warn: "look", bad: "not good", wait: "waiting" };

function light(look, title, detail) {
  const row = document.createElement("li");
  const word = document.createElement("span");
  word.className = look;
  word.textContent = WORDS[look];
  const name = document.createElement("strong");
  name.textContent = title;
  const more = document.createElement("span");
  more.textContent = detail;
  row.append(word, name, more);
  return row;
}

function judged(state) {
  const found = {};
  for (const event of state.events || []) {
    if (event.kind === "check" && event.values) {
      found[event.values.check] = { ...event.values, why: event.why };
    }
  }
  return found;
}

function ofMuscle(muscle, noise) {
  const flags = (muscle.quality || "").split(",").filter(Boolean);
  const at_rest = noise?.[`${muscle.name}_uv`];
  const level = at_rest ?? muscle.level_uv;
  const said = level === null || level === undefined ? "nothing heard" : `${level.toFixed(1)} µV at rest`;
  const signal = flags.filter((each) => each !== "mains");
  const lights = [
    light(level === null || level === undefined || signal.length ? "bad" : noise ? "good" : "wait",
      `Noise, ${muscle.name}`, signal.length ? `${said}; ${signal.join(", ")}` : said),
    light(flags.includes("mains") ? "bad" : muscle.quality === null ? "wait" : "good", `Mains, ${muscle.name}`,
      flags.includes("mains") ? "hum: prepare the skin again, look at the reference" : "no hum"),
  ];
  if (noise && !noise.ok && noise.why.includes(`${muscle.name}:`)) {
    lights[0] = light("bad", `Noise, ${muscle.name}`, noise.why);
  }
  return lights;
}

/** Show every light for a state; what is said of `wrong` by the session itself comes first. */
export function showLights(place, state) {
  const wrong = state.phase.wrong || {};
  const found = judged(state);
  const lights = Object.entries(wrong).map(([name, why]) => light("bad", CHECKS[name] || name, why || "put it right"));
  for (const muscle of state.muscles || []) {
    lights.push(...ofMuscle(muscle, found.noise));
  }
  const impedance = found.impedance;
  if (impedance && !("impedance" in wrong)) {
    lights.push(impedance.measured ? light("good", CHECKS.impedance, "within its limit")
      : light("warn", CHECKS.impedance, "this device does not measure it"));
  }
  if (state.gate && !("device" in wrong)) {
    lights.push(light(state.gate.state === "READY" ? "good" : "wait", CHECKS.device, state.gate.state));
  }
  const text = lights.map((each) => each.textContent).join("|");
  if (place.dataset.text !== text) {
    place.dataset.text = text;
    place.replaceChildren(...lights);
  }
}
