// Live parts: what a reader unfolded stays unfolded when the part is renewed, the keyboard keeps its place, a change of
// state is read out, and an ended session leads to the log-in.
"use strict";

(() => {
  let unfolded = [];
  let focused = null;

  // An element's place, as far as it can be found again: the nearest part with an id, and which of its kind in there.
  const placeOf = (element) => {
    const part = element.closest("[id]");
    return { id: part.id, tag: element.tagName, index: [...part.querySelectorAll(element.tagName)].indexOf(element) };
  };
  const elementAt = ({ id, tag, index }) => {
    const part = document.getElementById(id);
    return part && (index < 0 ? part : part.querySelectorAll(tag)[index]);
  };

  const headlines = () => [...document.querySelectorAll("[data-headline]")].map((one) => one.textContent).join(". ");
  let said = headlines();

  const readOut = () => {
    const words = headlines();
    const place = document.querySelector("[data-read-out]");
    if (place && words !== said) place.textContent = words;
    said = words;
  };

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
    const active = document.activeElement;
    focused = event.detail.target.contains(active) && active !== event.detail.target ? placeOf(active) : null;
  });

  document.addEventListener("htmx:afterSwap", () => {
    for (const id of unfolded) {
      const part = document.getElementById(id);
      if (part) part.open = true;
    }
    const active = focused && elementAt(focused);
    if (active && active !== document.activeElement) active.focus({ preventScroll: true });
    focused = null;
    readOut();
  });
})();
