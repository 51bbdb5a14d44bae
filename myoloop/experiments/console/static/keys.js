// SPACE stops; what SPACE does elsewhere (tick a box, move a switch) ENTER does here.
addEventListener("keydown", (event) => {
  const target = event.target;
  if (event.key === "Enter" && target instanceof HTMLInputElement && ["checkbox", "radio"].includes(target.type)) {
    event.preventDefault();
    target.click();
  }
});
