// Ties the page's passkey button to allauth's script, which does the asking, and says in words what went wrong.
"use strict";

// <button id data-passkey="login|authenticate|add" data-passkey-credential="id of the input" data-passkey-options="JSON">
for (const button of document.querySelectorAll("[data-passkey]")) {
  const { passkey: act, passkeyCredential: credential, passkeyPasswordless: passwordless, passkeyOptions } = button.dataset;
  window.allauth.webauthn.forms[`${act}Form`]({
    ids: { [act]: button.id, credential, passwordless },
    data: passkeyOptions ? JSON.parse(passkeyOptions) : undefined,
  });
}

document.addEventListener("allauth.error", (event) => {
  const box = document.querySelector("[data-passkey-failure]");
  if (!box) return;
  event.preventDefault();
  const { name } = event.detail.exception;
  const isAddress = /^[\d.]+$|^\[/.test(location.hostname);
  const words = {
    NotAllowedError: "That was canceled, or took too long. Try again.",
    InvalidStateError: "This passkey is already on your account.",
    NotSupportedError: "This browser or device can't do that. Try another one.",
    SecurityError: isAddress
      ? `Passkeys need a host name. Open this site as http://localhost:${location.port || 80} instead of ${location.hostname}.`
      : "Passkeys work over https only.",
    TypeError: "This browser offers no passkeys here. They need https and a current browser.",
  };
  box.querySelector("[data-passkey-words]").textContent = words[name] || "The passkey did not work. Try again.";
  box.hidden = false;
});
