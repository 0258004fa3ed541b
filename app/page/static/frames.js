// The page of a job: its tasks as a grid, a window of them at a time, so that a million will do.
"use strict";

(() => {
  const facts = document.getElementById("facts");
  const canvas = document.getElementById("frames");
  const where = document.getElementById("where");
  const back = document.getElementById("back"), on = document.getElementById("on");
  const job = facts.dataset.job, total = Number(canvas.dataset.total);
  const WINDOW = 4000;
  const states = ["waiting", "running", "done", "failed"];
  let first = 0, chosen = null, cells = new Uint8Array(0), columns = 1, size = 12;

  const count = () => Math.min(WINDOW, total - first);
  const base = `${farm.root}/page/jobs/${job}`;

  async function load() {
    const answer = await fetch(`${base}/runs?first=${first}&count=${WINDOW}`, { headers: { Accept: "application/json" } });
    if (!answer.ok) return;
    const runs = await answer.json();
    cells = new Uint8Array(count());
    for (const [state, text] of Object.entries(runs)) {
      for (const [, from, to] of text.matchAll(/\[(\d+),(\d+)\)/g)) cells.fill(states.indexOf(state), from - first, to - first);
    }
    draw();
  }

  function draw() {
    const box = canvas.parentElement.clientWidth, n = count();
    size = n <= 400 ? 18 : n <= 1500 ? 14 : 10;
    columns = Math.max(1, Math.floor(box / size));
    if (columns >= 20) columns -= columns % 10;
    const rows = Math.ceil(n / columns), ratio = devicePixelRatio || 1;
    canvas.width = columns * size * ratio; canvas.height = rows * size * ratio;
    canvas.style.width = `${columns * size}px`; canvas.style.height = `${rows * size}px`;
    const pen = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
    const colours = states.map((name) => style.getPropertyValue(`--${name}`).trim());
    pen.scale(ratio, ratio);
    for (let i = 0; i < n; i += 1) {
      pen.fillStyle = colours[cells[i] || 0];
      const x = (i % columns) * size, y = Math.floor(i / columns) * size;
      pen.fillRect(x, y, size - 2, size - 2);
      if (cells[i] === 3) { pen.fillStyle = style.getPropertyValue("--surface"); pen.fillRect(x + size / 2 - 2, y + 3, 2, size - 8); }
    }
    if (chosen !== null && chosen >= first && chosen < first + n) {
      const i = chosen - first;
      pen.strokeStyle = style.getPropertyValue("--ink"); pen.lineWidth = 2;
      pen.strokeRect((i % columns) * size - 1, Math.floor(i / columns) * size - 1, size, size);
    }
    where.textContent = `${farm.number(first + 1)} to ${farm.number(first + n)} of ${farm.number(total)}`;
    back.disabled = first === 0;
    on.disabled = first + WINDOW >= total;
  }

  function show() {
    htmx.ajax("GET", `${base}/tasks/${chosen}`, { target: "#task", swap: "innerHTML" });
  }
  const showSoon = farm.calm(250, show);
  function choose(ordinal) {
    chosen = Math.max(0, Math.min(total - 1, ordinal));
    if (chosen < first || chosen >= first + WINDOW) turn(chosen - (chosen % WINDOW));
    else draw();
    showSoon();
  }
  function turn(to) { first = Math.max(0, Math.min(to, total - 1)); first -= first % WINDOW; load(); }

  canvas.addEventListener("click", (event) => {
    const column = Math.floor(event.offsetX / size), i = Math.floor(event.offsetY / size) * columns + column;
    if (column < columns && i < count()) choose(first + i);
  });
  canvas.addEventListener("keydown", (event) => {
    const at = chosen === null ? first - 1 : chosen;
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + columns, ArrowUp: at - columns, Home: first, End: first + count() - 1, PageDown: at + WINDOW, PageUp: at - WINDOW }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    choose(to);
  });
  back.addEventListener("click", () => turn(first - WINDOW));
  on.addEventListener("click", () => turn(first + WINDOW));
  new ResizeObserver(() => draw()).observe(canvas.parentElement);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

  function bar() { const at = facts.querySelector(".job-bar"); farm.parts(at.querySelector(".parts"), at.dataset.t); }
  const again = farm.calm(1500, () => {
    if (!document.hidden) { htmx.trigger(facts, "refresh"); load(); if (chosen !== null) show(); }
  });
  // An estimate comes seconds after it was first asked for.
  farm.regularly(3, 30, () => { if (!facts.querySelector(".s-done, .s-failed")) htmx.trigger(facts, "refresh"); });
  document.addEventListener("htmx:afterSwap", (event) => { if (event.target === facts) bar(); });
  document.addEventListener("done", again);
  bar();
  load();
  farm.live("jobs", facts.dataset.since, {
    rows: (rows) => { if (rows.some((row) => String(row[0]) === job)) again(); },
    stale: (change) => { if (!change.gone || change.gone.some((id) => String(id) === job)) again(); },
  });
})();
