// Live parts: what a reader unfolded stays unfolded when the part is renewed, and an ended session leads to the log-in.
"use strict";

(() => {
  let unfolded = [];

  document.addEventListener("htmx:beforeSwap", (event) => {
    if (!event.detail.target.matches("[data-live]")) return;
    const asked = new URL(event.detail.pathInfo.finalRequestPath, location.href).pathname;
    const answered = event.detail.xhr.responseURL && new URL(event.detail.xhr.responseURL).pathname;
    if (answered && answered !== asked) {
      event.detail.shouldSwap = false;
      location.reload();
      return;
    }
    unfolded = [...event.detail.target.querySelectorAll("details[id][open]")].map((one) => one.id);
  });

  document.addEventListener("htmx:afterSwap", () => {
    for (const id of unfolded) {
      const part = document.getElementById(id);
      if (part) part.open = true;
    }
  });
})();
