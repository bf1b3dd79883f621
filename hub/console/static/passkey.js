// Passkeys (WebAuthn): made on the account page, used at the door. Passwords with codes work without this script.
"use strict";
const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const post = async (path, body) => {
  const answer = await fetch(path, { method: "POST", credentials: "same-origin", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
};
const known = (one) => ({ ...one, id: bytes(one.id) });
const make = async () => {
  const asked = await post("/console/passkeys/new", {});
  asked.challenge = bytes(asked.challenge);
  asked.user.id = bytes(asked.user.id);
  asked.excludeCredentials = (asked.excludeCredentials || []).map(known);
  const made = await navigator.credentials.create({ publicKey: asked });
  await post("/console/passkeys", { id: made.id, rawId: text(made.rawId), type: made.type, response: { clientDataJSON: text(made.response.clientDataJSON), attestationObject: text(made.response.attestationObject) } });
  location.reload();
};
const use = async () => {
  const asked = await post("/console/passkeys/ask", {});
  asked.challenge = bytes(asked.challenge);
  asked.allowCredentials = (asked.allowCredentials || []).map(known);
  const one = await navigator.credentials.get({ publicKey: asked });
  const given = one.response;
  await post("/console/passkeys/enter", { id: one.id, rawId: text(one.rawId), type: one.type, response: { clientDataJSON: text(given.clientDataJSON), authenticatorData: text(given.authenticatorData), signature: text(given.signature), userHandle: given.userHandle ? text(given.userHandle) : null } });
  location.assign("/console/");
};
for (const button of document.querySelectorAll("[data-passkey]")) {
  if (!window.PublicKeyCredential) continue;
  button.hidden = false;
  button.addEventListener("click", () => (button.dataset.passkey === "make" ? make() : use()).catch(() => { document.querySelector("[data-passkey-failed]").hidden = false; }));
}
