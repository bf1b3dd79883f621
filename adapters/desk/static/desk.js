// News while a page is open: a line on it, and a notice of the browser where that is wanted. All works without this script.
"use strict";
const bar = document.querySelector("[data-news]");
const ask = document.querySelector("[data-notify]");
if (ask && window.Notification && Notification.permission === "default") {
  ask.hidden = false;
  ask.querySelector("button").addEventListener("click", async () => { await Notification.requestPermission(); ask.hidden = true; });
}
const tell = (what) => {
  const words = bar.querySelector(`[data-said="${what}"]`);
  if (!words) return;
  words.hidden = false;
  bar.hidden = false;
  if (document.hidden && window.Notification && Notification.permission === "granted") new Notification(document.title, { body: words.textContent, tag: what });
  if (what === "arrived" && !document.title.startsWith("● ")) document.title = `● ${document.title}`;
};
if (bar && window.EventSource) {
  const source = new EventSource("/events");
  for (const what of ["arrived", "sent", "refused", "contact", "locked"]) source.addEventListener(what, () => { tell(what); if (what === "locked") source.close(); });
}
// A field that is needed with another one says so while that one is filled in.
for (const help of document.querySelectorAll("[data-needed-with]")) {
  const others = () => [...document.querySelectorAll(`[name="${help.dataset.neededWith}"]`)];
  const show = () => { help.classList.toggle("needed", others().some((one) => one.type === "checkbox" ? one.checked : one.value)); };
  for (const one of others()) one.addEventListener("change", show);
  show();
}
// What can't be undone is asked for once more.
for (const button of document.querySelectorAll("[data-confirm]")) button.addEventListener("click", (event) => { if (!window.confirm(button.dataset.confirm)) event.preventDefault(); });
for (const button of document.querySelectorAll("[data-print]")) { button.hidden = false; button.addEventListener("click", () => window.print()); }
// A draft keeps itself while it is written, so that a locked desk or a closed page loses nothing.
const draft = document.querySelector("form[data-autosave]");
if (draft) {
  let dirty = false, leaving = false, stale = false, keeping = null;
  const saved = document.querySelector("[data-autosaved]");
  const keep = async () => {
    dirty = false;
    const form = new FormData(draft);
    form.delete("file");
    form.set("do", "keep");
    const answer = await fetch(location.href, { method: "POST", body: form, credentials: "same-origin" }).catch(() => null);
    if (answer && answer.ok && !answer.redirected) {
      saved.hidden = false;
      draft.elements.revision.value = answer.headers.get("Draft-Revision");
    } else {
      dirty = true;
      if (answer && answer.status === 409) { stale = true; document.querySelector("[data-changed]").hidden = false; }
    }
    keeping = null;
  };
  draft.addEventListener("input", () => { dirty = true; saved.hidden = true; });
  draft.addEventListener("submit", (event) => {
    leaving = true;
    if (!keeping) return;
    // What is being kept is a newer revision than this page says: first that, then this.
    event.preventDefault();
    keeping.then(() => draft.requestSubmit(event.submitter));
  });
  window.setInterval(() => { if (dirty && !leaving && !stale && !keeping) keeping = keep(); }, 5000);
  window.addEventListener("beforeunload", (event) => { if (dirty && !leaving) event.preventDefault(); });
}
