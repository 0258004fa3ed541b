// The queue tree: bars, opening and closing, keys, dragging. Rows stay as the server draws them.
"use strict";

(() => {
  const tree = document.getElementById("tree");
  const body = document.getElementById("rows");
  const find = document.getElementById("find");
  const KEY = "farmqueue.open";
  let rows = new Map(), below = new Map(), opened = null, chosen = null;

  const value = (row) => row.dataset.v.split(",").map(Number);
  const limit = (row, name) => (row.dataset[name] === "" ? null : Number(row.dataset[name]));

  function read() {
    rows = new Map(); below = new Map();
    for (const row of body.rows) {
      rows.set(row.dataset.id, row);
      const siblings = below.get(row.dataset.parent);
      if (siblings) siblings.push(row); else below.set(row.dataset.parent, [row]);
    }
    const kept = sessionStorage.getItem(KEY);
    opened = kept ? new Set(JSON.parse(kept)) : null;
    if (opened) for (const row of body.rows) if (row.hasAttribute("aria-expanded")) row.setAttribute("aria-expanded", opened.has(row.dataset.id));
    show();
    focusable(chosen && rows.get(chosen) || body.rows[0]);
    document.getElementById("title").querySelector(".count").textContent = farm.number(Math.max(0, rows.size - 1));
  }

  const isOpen = (row) => row.getAttribute("aria-expanded") === "true";

  function show() {
    const wanted = find.value.trim().toLowerCase();
    if (wanted) {
      const keep = new Set();
      for (const row of body.rows) {
        if (!row.dataset.path.toLowerCase().includes(wanted)) continue;
        for (let at = row; at; at = rows.get(at.dataset.parent)) keep.add(at);
      }
      for (const row of body.rows) row.hidden = !keep.has(row);
    } else {
      const shut = new Set();
      for (const row of body.rows) {
        const parent = rows.get(row.dataset.parent);
        const hide = Boolean(parent) && (shut.has(parent) || !isOpen(parent));
        if (row.hidden !== hide) row.hidden = hide;
        if (hide) shut.add(row);
      }
    }
    for (const siblings of below.values()) if (siblings.some((row) => !row.hidden)) draw(siblings);
  }

  // Siblings share one scale: the most agents that any of them has, may have or is entitled to.
  function draw(siblings) {
    let scale = 1;
    const farmSize = rows.get("0") ? Math.max(...value(rows.get("0"))) : 0;
    for (const row of siblings) {
      const most = limit(row, "max");
      scale = Math.max(scale, ...value(row), limit(row, "min") || 0, most !== null && most <= 2 * farmSize ? most : 0);
    }
    for (const row of siblings) bar(row, scale);
  }

  function bar(row, scale) {
    const track = row.querySelector(".track");
    if (!track.firstChild) for (const name of ["fill", "min", "max", "share"]) {
      const part = document.createElement("i");
      part.className = name;
      track.append(part);
    }
    const [fill, min, max, share] = track.children;
    const [assigned, entitled] = value(row);
    const low = limit(row, "min"), high = limit(row, "max");
    const at = (n) => `${Math.min(100, (100 * n) / scale)}%`;
    fill.style.width = at(assigned);
    fill.classList.toggle("low", low !== null && assigned < low);
    min.hidden = low === null; if (low !== null) min.style.left = at(low);
    max.hidden = high === null || high > scale; if (high !== null) max.style.left = at(high);
    const known = !row.dataset.v.endsWith(",");
    share.hidden = !known;
    share.style.left = at(entitled);
    row.querySelector(".bar").setAttribute("aria-label",
      `${assigned} agents` + (known ? `, entitled to ${entitled}` : "") + (low === null ? "" : `, minimum ${low}`) + (high === null ? "" : `, maximum ${high}`));
  }

  // --- what changed: [id, assigned, entitled, waiting, running, paused, below] ---

  function put(cell, text) { if (cell.textContent !== text) cell.textContent = text; }
  function update(changes) {
    const touched = new Set();
    for (const [id, assigned, entitled, waiting, running, paused, under] of changes) {
      const row = rows.get(String(id));
      if (!row) continue;
      row.dataset.v = `${assigned},${entitled ?? ""}`;
      put(row.cells[2], String(assigned));
      put(row.cells[4], String(entitled ?? ""));
      put(row.cells[6], farm.number(waiting));
      put(row.cells[7], farm.number(running));
      put(row.cells[8], under ? farm.span(under) : "");
      row.classList.toggle("paused", paused);
      put(row.querySelector(".flag"), paused ? "paused" : "");
      touched.add(row.dataset.parent);
    }
    for (const parent of touched) if (below.get(parent).some((row) => !row.hidden)) draw(below.get(parent));
  }

  // --- opening, closing, moving about ---

  function expand(row, open) {
    if (!row.hasAttribute("aria-expanded")) return;
    row.setAttribute("aria-expanded", String(open));
    remember();
    show();
  }
  function remember() {
    sessionStorage.setItem(KEY, JSON.stringify([...rows.values()].filter(isOpen).map((row) => row.dataset.id)));
  }
  function all(open) {
    for (const row of body.rows) if (row.hasAttribute("aria-expanded") && row.dataset.id !== "0") row.setAttribute("aria-expanded", String(open));
    remember();
    show();
  }
  function focusable(row) {
    for (const other of body.querySelectorAll('[tabindex="0"]')) other.tabIndex = -1;
    if (row) { row.tabIndex = 0; chosen = row.dataset.id; }
  }
  function go(row) { if (row) { focusable(row); row.focus(); } }
  function next(row, step) {
    for (let at = row[step]; at; at = at[step]) if (!at.hidden) return at;
    return null;
  }
  function openPanel(row) { focusable(row); farm.open(`/page/queues/${row.dataset.id}`, row).then(offerPaths); }
  function offerPaths() {
    const list = document.getElementById("paths");
    if (list) list.replaceChildren(...[...rows.values()].filter(mine).map((row) => new Option(row.dataset.path, row.dataset.path)));
  }

  const keys = {
    ArrowDown: (row) => go(next(row, "nextElementSibling")),
    ArrowUp: (row) => go(next(row, "previousElementSibling")),
    ArrowRight: (row) => (row.hasAttribute("aria-expanded") && !isOpen(row) ? expand(row, true) : isOpen(row) && go(next(row, "nextElementSibling"))),
    ArrowLeft: (row) => (isOpen(row) ? expand(row, false) : go(rows.get(row.dataset.parent))),
    Home: () => go(body.rows[0]),
    End: () => { const last = body.rows[body.rows.length - 1]; go(last.hidden ? next(last, "previousElementSibling") : last); },
    Enter: openPanel,
    " ": openPanel,
  };
  body.addEventListener("keydown", (event) => {
    const row = event.target.closest("tr");
    if (row && keys[event.key] && !event.altKey && !event.ctrlKey && !event.metaKey) { event.preventDefault(); keys[event.key](row); }
  });
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (!row) return;
    if (event.target.closest(".twist") && row.hasAttribute("aria-expanded")) expand(row, !isOpen(row));
    else openPanel(row);
  });
  find.addEventListener("input", show);
  document.getElementById("open-all").addEventListener("click", () => all(true));
  document.getElementById("close-all").addEventListener("click", () => all(false));

  // --- dragging a queue onto another ---

  let dragged = null;
  // What may be changed: all, or what is in or below the queue that the token is bound to.
  const top = tree.dataset.edit || "0";
  function mine(row) {
    for (let at = row; at; at = rows.get(at.dataset.parent)) if (at.dataset.id === top) return true;
    return false;
  }
  if ("edit" in tree.dataset) body.addEventListener("pointerover", (event) => {
    const row = event.target.closest("tr");
    if (row) row.draggable = mine(row) && row.dataset.id !== top;
  });
  const over = (row) => { for (const old of body.querySelectorAll(".target")) old.classList.remove("target"); if (row) row.classList.add("target"); };
  body.addEventListener("dragstart", (event) => {
    dragged = event.target.closest("tr");
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", dragged.dataset.path);
  });
  body.addEventListener("dragover", (event) => {
    const row = event.target.closest("tr");
    if (!dragged || !row || row === dragged || !mine(row)) return;
    event.preventDefault();
    over(row);
  });
  body.addEventListener("dragend", () => { dragged = null; over(null); });
  body.addEventListener("drop", (event) => {
    const row = event.target.closest("tr");
    event.preventDefault();
    over(null);
    if (!dragged || !row || row === dragged) return;
    htmx.ajax("POST", `${farm.root}/page/queues/${dragged.dataset.id}/move`, { source: tree, swap: "none", values: { parent_id: row.dataset.id } });
    dragged = null;
  });

  const refresh = farm.calm(1000, () => htmx.trigger(body, "refresh"));
  let had = false;
  document.addEventListener("htmx:beforeSwap", (event) => { if (event.target === body) had = body.contains(document.activeElement); });
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.target === body) { read(); if (had && rows.get(chosen)) rows.get(chosen).focus({ preventScroll: true }); }
    if (event.target.id === "panel") offerPaths();
  });
  document.addEventListener("done", refresh);
  read();
  farm.live("queues", tree.dataset.since, { rows: update, stale: refresh });
})();
