// Dialogs that leave STOP alive. The browser's own modal dialogs make everything else on the page deaf, STOP too; these
// make only <main> inert. A dialog is <div class="dialog" role="dialog" aria-labelledby="..." id="..." hidden>
// <div class="sheet">...</div></div> in the block `dialogs`; a button with data-close in it closes it. ESC closes it and
// nothing else: it never ends a session.

let open = null;
let before = null;

/** Show a dialog; the focus goes to its first control. */
export function openDialog(id) {
  closeDialog();
  open = document.getElementById(id);
  before = document.activeElement;
  open.hidden = false;
  // Below whatever STOP has to say.
  const below = document.getElementById("stop-said").getBoundingClientRect().bottom;
  open.style.paddingTop = `${Math.ceil(below) + 8}px`;
  document.getElementById("main").inert = true;
  const first = open.querySelector("[autofocus], button, input, select, textarea");
  if (first) {
    first.focus();
  }
}

/** Hide the dialog that is shown, if one is, and give the focus back. */
export function closeDialog() {
  if (!open) {
    return;
  }
  open.hidden = true;
  document.getElementById("main").inert = false;
  open.dispatchEvent(new CustomEvent("closed"));
  open = null;
  if (before instanceof HTMLElement) {
    before.focus();
  }
}

addEventListener("keydown", (event) => {
  if (event.key === "Escape" && open) {
    event.preventDefault();
    closeDialog();
  }
});
addEventListener("click", (event) => {
  if (event.target instanceof Element && event.target.closest("[data-close]")) {
    closeDialog();
  }
});
