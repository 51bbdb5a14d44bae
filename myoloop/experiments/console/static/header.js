// What stands at the top of every page follows the session: who it is, which attempt, and that it is simulated.

const places = Object.fromEntries(["subject", "session", "simulated", "blinded"].map((id) => [id, document.getElementById(id)]));

addEventListener("myoloop:state", ({ detail: state }) => {
  for (const id of ["subject", "session"]) {
    const said = state[id] || "";
    if (places[id].textContent !== said) {
      places[id].textContent = said;
    }
  }
  for (const id of ["simulated", "blinded"]) {
    places[id].hidden = !(state.running && state[id]);
  }
});
