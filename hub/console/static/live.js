// Draws the page again when the hub says that something is new. Without this script the page is read anew by hand.
"use strict";
const live = document.querySelector("[data-live]");
if (live && window.EventSource) {
  const source = new EventSource(live.dataset.live);
  source.addEventListener("grown", async () => {
    const answer = await fetch(location.href, { credentials: "same-origin" });
    if (!answer.ok || answer.redirected) { source.close(); return; }
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const held = document.activeElement && document.querySelector("main").contains(document.activeElement);
    if (held) return;
    for (const [old, section] of [...document.querySelectorAll("main > section")].map((s, n) => [s, fresh.querySelectorAll("main > section")[n]])) {
      if (section) old.replaceWith(document.importNode(section, true));
    }
    live.hidden = false;
  });
}
