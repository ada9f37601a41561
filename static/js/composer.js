// The posting page: what may be chosen together, a preview, and sending the file with a bar that tells the truth.
// Without this script the same form is sent as it stands, and the server checks the same rules.
"use strict";

(() => {
  const find = (selector) => document.querySelector(selector);
  const composer = () => find("#composer");
  const field = (name) => composer().elements.namedItem(name);
  const isTicked = (name) => Boolean(field(name) && field(name).checked);
  const megabytes = (count) => (count / 1e6).toFixed(1);

  // --- What goes with what (the wording comes from the page) ---

  const isInbox = () => Boolean(composer().querySelector('[name=mode][value="inbox"]:checked'));

  const applyRules = () => {
    const form = composer();
    const privateLevels = form.dataset.privateLevels.split(" ");
    const privacy = field("privacy_level");
    const paid = field("is_paid_partnership");
    const isPaid = isTicked("disclose") && isTicked("is_paid_partnership");
    if (privacy) {
      for (const option of privacy.options) {
        const isForbidden = isPaid && privateLevels.includes(option.value);
        option.disabled = isForbidden;
        option.title = isForbidden ? form.dataset.notPrivate : "";
      }
      privacy.title = isPaid ? form.dataset.notPrivate : "";
      const isPrivate = privateLevels.includes(privacy.value);
      paid.disabled = isPrivate && !paid.checked;
      paid.closest("[data-paid]").title = paid.disabled ? form.dataset.notPrivate : "";
      form.querySelector("[data-paid-note]").hidden = !paid.disabled;
    }
    applyPublishButton(form);
  };

  const applyPublishButton = (form) => {
    const button = form.querySelector("[data-publish]");
    if (!button.dataset.never) button.dataset.never = button.disabled ? "yes" : "no";
    const isIncomplete =
      !isInbox() && isTicked("disclose") && !isTicked("is_own_brand") && !isTicked("is_paid_partnership");
    const words = isIncomplete ? form.dataset.incomplete : "";
    button.disabled = button.dataset.never === "yes" || isIncomplete;
    button.title = words;
    button.closest("[data-publish-wrap]").title = words;
  };

  // --- Preview of the chosen file, and a check of its size before it is sent ---

  let previewUrl = "";

  const showPreview = () => {
    const form = composer();
    const file = field("video").files[0];
    const error = form.querySelector("[data-video-error]");
    const place = form.querySelector("[data-local-preview]");
    const player = place.querySelector("video");
    if (previewUrl) URL.revokeObjectURL(previewUrl);
    previewUrl = "";
    error.hidden = true;
    place.hidden = true;
    player.removeAttribute("src");
    if (file && file.size > Number(form.dataset.maxBytes)) {
      refuse(form.dataset.tooLarge);
    } else if (file && form.dataset.roomBytes && file.size > Number(form.dataset.roomBytes)) {
      refuse(form.dataset.noRoom);
    } else if (file && file.size === 0) {
      refuse("This file is empty. Choose the video again.");
    } else if (file) {
      previewUrl = URL.createObjectURL(file);
      place.querySelector("[data-preview-fails]").hidden = true;
      player.hidden = false;
      player.src = previewUrl;
      place.hidden = false;
    }
    for (const kept of form.querySelectorAll(".kept")) kept.hidden = Boolean(file);
    applyFrameButton();
  };

  const refuse = (words) => {
    const input = field("video");
    const error = composer().querySelector("[data-video-error]");
    error.querySelector("span").textContent = words;
    error.hidden = false;
    input.value = "";
    input.dispatchEvent(new Event("change", { bubbles: true }));
    error.querySelector("span").textContent = words;
    error.hidden = false;
  };

  const shownPlayer = () => [...composer().querySelectorAll("video[data-preview]")].find((one) => one.offsetParent && one.src);

  const applyFrameButton = () => {
    const button = composer().querySelector("[data-take-frame]");
    if (button) button.disabled = !shownPlayer();
  };

  const takeFrame = () => {
    const player = shownPlayer();
    if (player) field("cover_seconds").value = player.currentTime.toFixed(2);
  };

  // --- The order of photos: by button or by dragging; the numbers of their places follow ---

  let dragged = null;

  const photosOf = (photo) => [...photo.parentElement.children];

  const placePhoto = (photo, target, isAfter) => {
    if (!target || target === photo) return;
    target[isAfter ? "after" : "before"](photo);
    const all = photosOf(photo);
    all.forEach((one, place) => {
      one.querySelector("[name^=position-]").value = place + 1;
    });
    find("[data-photo-moved]").textContent = `${photo.dataset.name}: place ${all.indexOf(photo) + 1} of ${all.length}`;
    isTouched = true;
  };

  const movePhoto = (button) => {
    const photo = button.closest(".photo");
    const isLater = button.dataset.move === "later";
    placePhoto(photo, isLater ? photo.nextElementSibling : photo.previousElementSibling, isLater);
    button.focus();
  };

  const startPhotos = () => {
    for (const photo of composer().querySelectorAll(".photo")) photo.draggable = true;
  };

  document.addEventListener("dragstart", (event) => {
    dragged = event.target.closest ? event.target.closest(".photo") : null;
    if (!dragged) return;
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", dragged.dataset.name);
  });
  document.addEventListener("dragover", (event) => {
    const target = dragged && event.target.closest(".photo");
    if (!target) return;
    event.preventDefault();
    const all = photosOf(dragged);
    placePhoto(dragged, target, all.indexOf(dragged) < all.indexOf(target));
  });
  document.addEventListener("drop", (event) => {
    if (dragged && event.target.closest(".photo")) event.preventDefault();
  });
  document.addEventListener("dragend", () => {
    dragged = null;
  });

  // --- Sending ---

  let sending = null;
  let isTokenOld = false; // the session ended, so a log-in has followed or will
  let isTouched = false; // something was entered that leaving the page would lose
  let submitterPlace = ""; // the part of the form that the pressed button stands in

  const showError = (words, { isLoggedOut = false } = {}) => {
    stopShowing();
    const box = composer().querySelector("[data-upload-error]");
    box.querySelector("[data-upload-error-words]").textContent = words;
    box.querySelector("[data-log-in]").hidden = !isLoggedOut;
    box.hidden = false;
    box.scrollIntoView({ block: "nearest" });
  };

  const leaveFor = (address) => {
    sending = null;
    isTouched = false;
    window.location.assign(address);
  };

  const stopShowing = () => {
    sending = null;
    const form = composer();
    form.querySelector("[data-upload]").hidden = true;
    for (const button of form.querySelectorAll("button[type=submit]")) button.removeAttribute("aria-busy");
    delete form.dataset.sending;
  };

  const tell = (title, words, share) => {
    const form = composer();
    form.querySelector("[data-upload-title]").textContent = title;
    form.querySelector("[data-upload-words]").textContent = words;
    const bar = form.querySelector("[data-upload-bar]");
    if (share === null) bar.removeAttribute("value");
    else bar.value = share * 100;
  };

  const send = (form, submitter, { isSecondTry = false } = {}) => {
    const data = new FormData(form, submitter);
    const noun = form.dataset.noun || "video";
    const files = [...data.getAll("video"), ...data.getAll("photos")];
    const total = files.reduce((sum, file) => sum + file.size, 0);
    if (form.dataset.roomBytes && total > Number(form.dataset.roomBytes)) return showError(form.dataset.noRoom);
    const request = new XMLHttpRequest();
    sending = request;
    submitterPlace = submitter ? (submitter.closest("section[id]") || {}).id || "" : "";
    form.dataset.sending = "yes";
    if (submitter) submitter.setAttribute("aria-busy", "true");
    form.querySelector("[data-upload-error]").hidden = true;
    form.querySelector("[data-upload]").hidden = false;
    tell(total ? `Sending your ${noun}` : "Checking", total ? `0.0 of ${megabytes(total)} MB` : "", total ? 0 : null);
    request.upload.addEventListener("progress", (event) => {
      if (!total || !event.lengthComputable) return;
      const sent = Math.min(total, Math.round((event.loaded / event.total) * total));
      tell(`Sending your ${noun}`, `${megabytes(sent)} of ${megabytes(total)} MB`, sent / total);
    });
    request.upload.addEventListener("load", () => tell(`Checking your ${noun}`, total ? `${megabytes(total)} MB arrived` : "", null));
    request.addEventListener("load", () => {
      if (request.status !== 403 || isSecondTry) return answer(request);
      return renewToken(form).then((isRenewed) => (isRenewed ? send(form, submitter, { isSecondTry: true }) : answer(request)));
    });
    request.addEventListener("error", () =>
      showError("The connection broke off. All you entered is still here: publish again. Nothing is posted twice."));
    request.addEventListener("abort", stopShowing);
    request.open("POST", form.getAttribute("action") || location.href);
    request.setRequestHeader("X-Requested-With", "XMLHttpRequest");
    request.send(data);
  };

  // A log-in in another tab changes the token that forms must carry. Return whether this page got a newer one.
  const renewToken = async (form) => {
    try {
      const page = await fetch(location.href, { headers: { Accept: "text/html" } });
      const fresh = new DOMParser().parseFromString(await page.text(), "text/html");
      const token = fresh.querySelector("#composer [name=csrfmiddlewaretoken]");
      if (!page.ok || !token) return false;
      form.elements.namedItem("csrfmiddlewaretoken").value = token.value;
      return true;
    } catch {
      return false;
    }
  };

  const focusAfterSwap = () => {
    const target = find("#composer [data-focus]") || (submitterPlace && find(`#${submitterPlace} h2`));
    if (!target) return;
    target.tabIndex = -1;
    target.focus({ preventScroll: !target.matches("[data-focus]") });
  };

  const answer = (request) => {
    const location = request.getResponseHeader("Location");
    if (request.status === 201 && location) {
      leaveFor(location);
    } else if (request.status === 422 || (request.status === 200 && request.responseText.includes('id="composer"'))) {
      sending = null;
      if (previewUrl) URL.revokeObjectURL(previewUrl);
      previewUrl = "";
      htmx.swap("#composer", request.responseText, { swapStyle: "outerHTML", swapDelay: 0, settleDelay: 0 }, {
        select: "#composer",
        afterSettleCallback: focusAfterSwap,
      });
    } else if (request.status === 200) {
      isTokenOld = true;
      showError("You were logged out. All you entered is still here: log in in another tab, then publish again here.", {
        isLoggedOut: true,
      });
    } else if (request.status === 403) {
      showError("You may no longer post here, or your session has changed. All you entered is still here: log in in another tab, then publish again here.", {
        isLoggedOut: true,
      });
    } else if (request.status === 429) {
      const minutes = Math.ceil(Number(request.getResponseHeader("Retry-After") || 60) / 60);
      showError(`You have sent very many posts in a short time. All you entered is still here: publish again in ${minutes} min.`);
    } else if (request.status === 413) {
      showError(composer().dataset.tooLarge);
    } else {
      showError(`The server had a problem (${request.status}). Publish again in a moment. Nothing is posted twice.`);
    }
  };

  document.addEventListener("submit", (event) => {
    const form = event.target.closest("#composer");
    if (!form) return;
    event.preventDefault();
    if (sending) return;
    if (!isTokenOld) return send(form, event.submitter);
    isTokenOld = false;
    renewToken(form).then(() => send(form, event.submitter));
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-upload-cancel]") && sending) sending.abort();
    if (event.target.closest("[data-take-frame]")) takeFrame();
    const mover = event.target.closest("#composer [data-move]");
    if (mover) movePhoto(mover);
  });

  document.addEventListener("input", (event) => {
    if (event.target.closest("#composer")) isTouched = true;
  });

  document.addEventListener("change", (event) => {
    if (!event.target.closest("#composer")) return;
    if (event.target.name === "video") showPreview();
    if (event.target.name === "photos" && event.target.files.length && !sending) {
      send(composer(), composer().querySelector("[data-add-photos]")); // shown with their places, nothing posted
    }
    applyRules();
  });

  document.addEventListener("error", (event) => {
    if (!event.target.matches || !event.target.matches("[data-local-preview] video[src]")) return;
    event.target.hidden = true;
    event.target.parentElement.querySelector("[data-preview-fails]").hidden = false;
  }, true);

  const start = () => {
    if (!composer()) return;
    applyRules();
    applyFrameButton();
    startPhotos();
  };
  document.addEventListener("htmx:load", start);
  document.addEventListener("htmx:afterSettle", start);
  window.addEventListener("beforeunload", (event) => {
    if (sending || isTouched) event.preventDefault();
  });
  // Coming back by the back button is a new wish to post, not the old one again.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted && composer() && crypto.randomUUID) field("submission_key").value = crypto.randomUUID();
  });
  start();
})();
