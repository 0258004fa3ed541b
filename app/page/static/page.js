// What all pages share: errors at their fields, words about what was done, and the live stream.
"use strict";

const farm = (() => {
  const root = document.body.dataset.root;
  const told = document.getElementById("told");
  const shown = document.getElementById("live");

  function say(text, isProblem) {
    const line = document.createElement("p");
    line.className = isProblem ? "problem" : "";
    line.textContent = text;
    told.replaceChildren(line);
    clearTimeout(say.timer);
    say.timer = setTimeout(() => told.replaceChildren(), isProblem ? 12000 : 5000);
  }

  const narrow = "\u202f";
  const number = (n) => String(n).replace(/\B(?=(\d{3})+(?!\d))/g, narrow);
  function span(seconds) {
    for (const [unit, name] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
      if (seconds >= 2 * unit) return `${Math.floor(seconds / unit)} ${name}`;
    }
    return `${Math.max(0, Math.floor(seconds))} s`;
  }

  // --- errors: problem+json, each at its field ---

  function clear(form) {
    for (const old of form.querySelectorAll(".problem")) old.remove();
    for (const field of form.querySelectorAll("[aria-invalid]")) {
      field.removeAttribute("aria-invalid");
      field.removeAttribute("aria-describedby");
    }
  }

  function mark(form, name, message) {
    const field = form.querySelector(`[name="${CSS.escape(name)}"]:not([type=hidden])`);
    if (!field) return null;
    const line = document.createElement("p");
    line.className = "problem";
    line.id = `${field.id}-problem`;
    line.textContent = message;
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", line.id);
    (field.closest(".field") || field.parentElement).append(line);
    return field;
  }

  function refused(problem, form) {
    const fields = form ? (problem.errors || []).map((one) => mark(form, one.field, one.message)).filter(Boolean) : [];
    if (fields.length) fields[0].focus();
    else say(problem.detail || "That did not work.", true);
  }

  document.addEventListener("htmx:beforeRequest", (event) => {
    const form = event.target.closest("form");
    if (form) clear(form);
  });
  document.addEventListener("htmx:responseError", (event) => {
    const xhr = event.detail.xhr;
    if (xhr.getResponseHeader("HX-Redirect")) return;
    let problem = {};
    try { problem = JSON.parse(xhr.responseText); } catch { /* no JSON: of a proxy, say */ }
    refused(problem, event.target.closest("form"));
  });
  document.addEventListener("htmx:sendError", () => say("The service cannot be reached.", true));
  document.addEventListener("done", (event) => say(event.detail.told));

  // --- what is morphed: a part that asks for its content itself keeps it until the answer is there ---

  Idiomorph.defaults.callbacks.beforeNodeMorphed = (old) => !(old.dataset && "own" in old.dataset);

  // --- the live stream: one event for what changed, in the order in which it did ---

  function live(topic, since, { rows, stale }) {
    const stream = new EventSource(`${root}/page/live/${topic}?since=${encodeURIComponent(since)}`);
    const state = (name, words) => { shown.className = `live ${name}`; shown.textContent = words; };
    stream.onopen = () => state("on", "live");
    stream.onerror = () => {
      state("off", "not live");
      if (stream.readyState === EventSource.CLOSED) setTimeout(() => live(topic, "", { rows, stale }), 5000);
    };
    stream.addEventListener("change", (event) => {
      const change = JSON.parse(event.data);
      if (change.rows) rows(change.rows);
      if (change.gone || change.new) stale(change);
    });
    stream.addEventListener("stale", () => stale({}));
    stream.addEventListener("over", () => { stream.close(); location.assign(`${root}/page/login`); });
    addEventListener("pagehide", () => stream.close());
  }

  // At most once in so many milliseconds, and once after the last call.
  function calm(wait, work) {
    let timer = null, again = false;
    return function run() {
      if (timer) { again = true; return; }
      work();
      timer = setTimeout(() => { timer = null; if (again) { again = false; run(); } }, wait);
    };
  }

  // Now and then while somebody looks, at first sooner.
  function regularly(first, seconds, work) {
    let wait = first;
    function run() {
      if (!document.hidden) work();
      wait = Math.min(2 * wait, seconds);
      setTimeout(run, 1000 * wait);
    }
    setTimeout(run, 1000 * wait);
  }

  // --- the panel beside a list ---

  const panel = document.getElementById("panel");
  let back = null;
  async function open(address, from) {
    back = from;
    await htmx.ajax("GET", root + address, { target: "#panel", swap: "innerHTML" });
    panel.dataset.address = address;
    panel.hidden = false;
    panel.focus({ preventScroll: true });
  }
  function close() {
    if (!panel || panel.hidden) return;
    panel.hidden = true;
    panel.replaceChildren();
    if (back && back.isConnected) back.focus();
  }
  if (panel) {
    panel.addEventListener("click", (event) => { if (event.target.closest("[data-close]")) close(); });
    document.addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
    panel.addEventListener("toggle", ({ target }) => {
      if (target.matches("details.why-box[open]")) htmx.trigger(target.firstElementChild, "again");
    }, true); // it does not bubble
    document.addEventListener("done", (event) => {
      if (panel.hidden) return;
      if (event.detail.gone) close();
      else htmx.ajax("GET", root + panel.dataset.address, { target: "#panel", swap: "innerHTML" });
      for (const why of panel.querySelectorAll("details[open] > summary")) htmx.trigger(why, "again");
    });
  }

  // Tasks as one bar: done, running, failed; what is left of it waits.
  function parts(track, text) {
    const [waiting, running, done, failed] = text.split(",").map(Number);
    const total = waiting + running + done + failed || 1;
    if (!track.firstChild) for (const name of ["done", "running", "failed"]) {
      const part = document.createElement("i");
      part.className = name;
      track.append(part);
    }
    [done, running, failed].forEach((n, at) => { track.children[at].style.width = `${(100 * n) / total}%`; });
  }

  for (const time of document.querySelectorAll("time")) time.title = new Date(time.dateTime).toLocaleString();

  return { root, say, number, span, live, calm, regularly, open, close, refused, parts };
})();
