// What the theme's search lacks: to run where the site is opened from a disk, and to find words of Chinese.
//
// From a disk browsers start no web worker, so a hidden frame does its work; the theme's script looks for `IFrameWorker`
// in the page around it. Every Chinese character is a word of the index (mkdocs.yml), and all of those asked for must be there.
"use strict";
const spelt = (text) => text.replace(/\p{sc=Han}{2,}/gu, (run) => ` ${[...run].map((one) => `+${one}`).join(" ")} `);
const asked = (message) => (typeof message.data === "string" ? { ...message, data: spelt(message.data) } : message);
const load = (page, url) =>
  new Promise((done, failed) => {
    const script = page.createElement("script");
    Object.assign(script, { src: url, onload: done, onerror: failed });
    page.head.append(script);
  });
const loaded = (frame) => new Promise((done) => frame.addEventListener("load", done, { once: true }));

class IFrameWorker extends EventTarget {
  #inside;

  constructor(url) {
    super();
    const frame = document.createElement("iframe");
    Object.assign(frame, { hidden: true, srcdoc: "<!doctype html><title>search</title>" });
    this.#inside = loaded(frame).then(() => this.#begun(frame.contentWindow, url));
    document.body.append(frame);
  }

  postMessage(message) {
    this.#inside.then((inside) => inside.dispatchEvent(new inside.MessageEvent("message", { data: asked(message) })));
  }

  async #begun(inside, url) {
    inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
    inside.importScripts = async (...urls) => {
      for (const one of urls) await load(inside.document, one);
    };
    await load(inside.document, url);
    return inside;
  }
}

class AskedWorker extends Worker {
  postMessage(message) {
    super.postMessage(asked(message));
  }
}

if (location.protocol === "file:") Object.assign(window, { IFrameWorker, Worker: IFrameWorker });
else window.Worker = AskedWorker;
