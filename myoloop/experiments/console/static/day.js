// Today's list: a scanner types the code and ENTER.
const form = document.getElementById("code");

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const person = form.elements.person.value.trim();
  if (/^[A-Za-z0-9]{1,32}$/.test(person)) {
    location.assign(`/day/${person}`);
  } else {
    form.elements.person.focus();
  }
});
