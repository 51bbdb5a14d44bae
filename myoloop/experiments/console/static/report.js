// A finished report, shown under the bar with STOP. It comes as one HTML file; its styles stay its own, nothing of it runs.

const place = document.getElementById("report");

async function show() {
  const answer = await fetch(place.dataset.page);
  if (!answer.ok) {
    place.textContent = "The report cannot be read.";
    return;
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const root = place.attachShadow({ mode: "open" });
  const body = document.createElement("div");
  body.className = "body";
  for (const script of page.querySelectorAll("script")) {
    script.remove();
  }
  body.append(...page.querySelectorAll("style"), ...page.body.childNodes);
  root.append(body);
  // Places within it: the address bar would look for them outside of it.
  root.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (link) {
      event.preventDefault();
      root.getElementById(decodeURIComponent(link.getAttribute("href").slice(1)))?.scrollIntoView();
    }
  });
}

show();
