// A page about an attempt that is still being closed (its file, its report) shows itself again once that is done, unless
// somebody has begun to write in it.
const AGAIN_MS = 700;
const about = document.querySelector("[data-care]");
let written = false;

addEventListener("input", () => {
  written = true;
});
if (about?.dataset.care === "running") {
  setInterval(() => {
    if (!written) {
      location.reload();
    }
  }, AGAIN_MS);
}
