// A reason that is touched, or typed where none of them fits.

/** The reason given in a fieldset of reasons; "" where none is. */
export function reasonIn(place) {
  const typed = place.querySelector('.reasons input[type="text"]');
  const touched = place.querySelector('.reasons input[type="radio"]:checked');
  return touched && touched.value ? touched.value : typed.value.trim();
}

/** Take back what was touched and typed, for the next time. */
export function clearReason(place) {
  for (const each of place.querySelectorAll(".reasons input")) {
    if (each.type === "radio") {
      each.checked = false;
    } else {
      each.value = "";
    }
  }
}

// Who begins to type means another reason.
addEventListener("input", (event) => {
  if (event.target instanceof HTMLInputElement && event.target.type === "text") {
    const another = event.target.closest(".reasons")?.querySelector('input[type="radio"][value=""]');
    if (another) {
      another.checked = true;
    }
  }
});
