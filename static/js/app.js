// Comfort on top of pages that work without it. No dependency; every hook is a data attribute.
"use strict";

document.documentElement.classList.add("js");

const onReady = (root, selector, act) => root.querySelectorAll(selector).forEach(act);

// <details data-menu>: closes on Escape and on a click elsewhere.
const closeMenus = (except) =>
  onReady(document, "details[data-menu][open]", (menu) => {
    if (!except || !menu.contains(except)) menu.open = false;
  });
document.addEventListener("click", (event) => closeMenus(event.target));
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const menu = document.activeElement && document.activeElement.closest("details[data-menu][open]");
  closeMenus();
  if (menu) menu.querySelector("summary").focus();
});

// [data-dismiss]: takes away the message it stands in.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-dismiss]");
  if (button) button.closest("[data-message]").remove();
});

// [data-copy="text"]: puts the text on the clipboard and says so.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const words = button.querySelector("[data-copy-words]") || button;
  const before = words.textContent;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    words.textContent = "Copied";
  } catch {
    words.textContent = "Select and copy";
  }
  setTimeout(() => { words.textContent = before; }, 1600);
});

// <form data-once>: a second press does nothing while the first is on its way.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-once]") || event.defaultPrevented) return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  const button = event.submitter;
  if (button) {
    button.setAttribute("aria-busy", "true");
    if (button.dataset.busy) button.lastChild.textContent = button.dataset.busy;
  }
});
// Coming back by the browser's back button finds the form usable again.
window.addEventListener("pageshow", () =>
  onReady(document, "form[data-sent]", (form) => {
    delete form.dataset.sent;
    onReady(form, "[aria-busy]", (button) => button.removeAttribute("aria-busy"));
  }),
);

// .drop: shows the chosen file's name and size, and that a file hovers over it.
const inPowersOfTen = (count) => {
  for (const [unit, size, digits] of [["GB", 1e9, 2], ["MB", 1e6, 1], ["kB", 1e3, 0]]) {
    if (count >= size) return `${(count / size).toFixed(digits)} ${unit}`;
  }
  return `${count} B`;
};
const startDrop = (drop) => {
  const input = drop.querySelector("input[type=file]");
  const title = drop.querySelector(".drop-title");
  const hint = drop.querySelector(".drop-hint");
  if (!input || drop.dataset.started) return;
  drop.dataset.started = "yes";
  const [noTitle, noHint] = [title.textContent, hint ? hint.textContent : ""];
  input.addEventListener("change", () => {
    const file = input.files[0];
    drop.classList.toggle("has-file", Boolean(file));
    title.textContent = file ? file.name : noTitle;
    if (hint) hint.textContent = file ? `${inPowersOfTen(file.size)}. Choose or drop another to replace it.` : noHint;
  });
  for (const kind of ["dragenter", "dragover"]) drop.addEventListener(kind, () => drop.classList.add("is-over"));
  for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("is-over"));
};

// <textarea data-count="id of the output" data-count-max="2200">: UTF-16 units used, which is how TikTok counts a caption.
const startCount = (area) => {
  const output = document.getElementById(area.dataset.count);
  if (!output || area.dataset.counting) return;
  area.dataset.counting = "yes";
  const most = Number(area.dataset.countMax);
  const show = () => {
    const used = area.value.replace(/\r?\n/g, "\n").length;
    output.textContent = `${used.toLocaleString("en")} of ${most.toLocaleString("en")}`;
    output.classList.toggle("is-over", used > most);
  };
  area.addEventListener("input", show);
  show();
};

// <time datetime data-time="full|day|ago">: the server writes UTC, the reader sees their own clock.
const AGO = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60]];
const ago = (then) => {
  const seconds = Math.round((then - Date.now()) / 1000);
  const [unit, size] = AGO.find(([, length]) => Math.abs(seconds) >= length) || ["second", 1];
  if (unit === "second" && Math.abs(seconds) < 45) return "just now";
  return new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(Math.round(seconds / size), unit);
};
const showTime = (element) => {
  const then = new Date(element.dateTime);
  if (Number.isNaN(then.getTime())) return;
  const full = then.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
  element.title = `${then.toISOString().slice(0, 16).replace("T", " ")} UTC`;
  if (element.dataset.time === "ago") element.textContent = ago(then);
  else if (element.dataset.time === "day") element.textContent = then.toLocaleDateString("en-GB", { dateStyle: "medium" });
  else element.textContent = full;
};

const enhance = (root) => {
  onReady(root, ".drop", startDrop);
  onReady(root, "[data-count]", startCount);
  onReady(root, "time[data-time]", showTime);
};
enhance(document);
document.addEventListener("htmx:load", (event) => enhance(event.detail.elt.parentElement || document));
setInterval(() => onReady(document, "time[data-time=ago]", showTime), 30000);
