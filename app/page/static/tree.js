// The queue tree. All queues are known here; rows are drawn for those that are shown, a part at a time.
"use strict";

(() => {
  const tree = document.getElementById("tree");
  const body = document.getElementById("rows");
  const find = document.getElementById("find");
  const blank = document.getElementById("row").content.firstElementChild;
  const KEY = "farmqueue.open";
  const FEW = 80, OPEN_LEVELS = 1; // all are open at first where there are few, else so many levels
  const LONGEST = 30000; // milliseconds that the tree may be on its way
  const AT_ONCE = 300; // rows that are drawn before the browser does what else it has to
  const byName = new Intl.Collator(undefined, { numeric: true }).compare;
  let queues = new Map(), visible = [], painted = 0, chosen = 0, loading = false, meanwhile = [];

  // --- what the service tells: how a queue is set, and what goes on in it ---

  async function load() {
    loading = true;
    try {
      const answer = await fetch(`${farm.root}/page/queues/rows`, { headers: { "HX-Request": "true" }, signal: AbortSignal.timeout(LONGEST) });
      const elsewhere = answer.headers.get("HX-Redirect");
      if (elsewhere) { location.assign(elsewhere); return null; }
      if (!answer.ok) throw new Error(answer.statusText);
      const told = await answer.json();
      take(told.rows);
      return told.since;
    } catch {
      farm.say("The tree cannot be read just now. It is tried again.", true);
      setTimeout(refresh, 3000);
      return null;
    } finally {
      loading = false;
      update(meanwhile.splice(0)); // came before the rows did, and may be newer
    }
  }

  function take(rows) {
    const before = queues, found = new Map();
    for (const [id, parent, name, priority, weight, min, max, ...now] of rows) {
      found.set(id, { id, parent, name, priority, weight, min, max, now, below: [], row: before.get(id)?.row, isNew: true });
    }
    for (const one of found.values()) found.get(one.parent)?.below.push(one);
    const kept = sessionStorage.getItem(KEY);
    const opened = kept && new Set(JSON.parse(kept));
    queues = new Map(); // from the top down, siblings by name
    const rest = found.has(0) ? [found.get(0)] : [];
    while (rest.length) {
      const one = rest.pop(), above = queues.get(one.parent);
      one.level = above ? above.level + 1 : 0;
      one.path = above ? `${above.level ? above.path : ""}/${one.name}` : "/";
      one.open = opened ? opened.has(one.id) : found.size <= FEW || one.level < OPEN_LEVELS;
      one.below.sort((a, b) => byName(a.name, b.name));
      queues.set(one.id, one);
      for (let at = one.below.length - 1; at >= 0; at -= 1) rest.push(one.below[at]);
    }
    const had = body.contains(document.activeElement);
    show();
    if (had && queues.get(chosen)?.row?.isConnected) queues.get(chosen).row.focus({ preventScroll: true });
    document.getElementById("title").querySelector(".count").textContent = farm.number(Math.max(0, queues.size - 1));
    document.getElementById("reading").hidden = queues.size > 0;
  }

  function update(changes) {
    if (loading) meanwhile.push(...changes);
    const touched = new Map();
    for (const [id, ...now] of changes) {
      const one = queues.get(id);
      if (!one) continue;
      one.now = now;
      if (one.row && !one.isNew) writeNow(one);
      const siblings = queues.get(one.parent)?.below || [one];
      touched.set(siblings[0], siblings);
    }
    for (const siblings of touched.values()) bars(siblings, siblings.filter(({ row, isNew }) => row && !isNew)); // shown or not
  }

  // --- which rows are shown, and drawing them ---

  function show() {
    const wanted = find.value.trim().toLowerCase();
    visible = wanted ? matching(wanted) : opened();
    const keep = new Set(visible.map(({ row }) => row));
    for (const row of [...body.rows]) if (!keep.has(row)) row.remove();
    painted = 0;
    paint(AT_ONCE);
    const at = queues.get(chosen);
    focusable(at?.row?.isConnected ? at : visible[0]);
  }
  function opened() {
    const found = [], rest = queues.has(0) ? [queues.get(0)] : [];
    while (rest.length) {
      const one = rest.pop();
      found.push(one);
      if (one.open) for (let at = one.below.length - 1; at >= 0; at -= 1) rest.push(one.below[at]);
    }
    return found;
  }
  function matching(wanted) {
    const keep = new Set();
    for (const one of queues.values()) {
      if (!one.path.toLowerCase().includes(wanted)) continue;
      for (let at = one; at && !keep.has(at); at = queues.get(at.parent)) keep.add(at);
    }
    return [...queues.values()].filter((one) => keep.has(one));
  }

  function paint(most) {
    clearTimeout(paint.later);
    const drawn = new Map(), end = Math.min(visible.length, painted + most);
    let at = body.rows[painted] || null;
    for (; painted < end; painted += 1) {
      const one = visible[painted];
      if (!one.row) one.row = blank.cloneNode(true);
      if (one.isNew) {
        write(one);
        const siblings = drawn.get(one.parent);
        if (siblings) siblings.push(one); else drawn.set(one.parent, [one]);
      }
      if (one.row === at) at = at.nextElementSibling;
      else body.insertBefore(one.row, at);
    }
    for (const [parent, some] of drawn) bars(queues.get(parent)?.below || some, some);
    if (painted < visible.length) paint.later = setTimeout(paint, 0, AT_ONCE);
  }

  function put(cell, text) { if (cell.textContent !== text) cell.textContent = text; }
  function write(one) {
    const { row, min, max } = one, cells = row.cells;
    one.isNew = false;
    row.id = `q${one.id}`;
    row.dataset.id = one.id;
    row.dataset.path = one.path;
    row.className = `l${one.level}`;
    row.setAttribute("aria-level", one.level + 1);
    if (one.below.length) row.setAttribute("aria-expanded", one.open); else row.removeAttribute("aria-expanded");
    put(row.querySelector(".text"), one.name || "/");
    put(cells[3], String(min ?? ""));
    put(cells[5], String(max ?? ""));
    put(cells[9], one.level ? String(one.priority) : "");
    put(cells[10], one.level ? String(one.weight) : "");
    writeNow(one);
  }
  function writeNow({ row, now: [assigned, entitled, waiting, running, paused, under] }) {
    const cells = row.cells;
    put(cells[2], String(assigned));
    put(cells[4], String(entitled ?? ""));
    put(cells[6], farm.number(waiting));
    put(cells[7], farm.number(running));
    put(cells[8], under ? farm.span(under) : "");
    row.classList.toggle("paused", paused);
    put(row.querySelector(".flag"), paused ? "paused" : "");
  }

  // Siblings share one scale: the most agents that any of them has, may have or is entitled to.
  function bars(siblings, drawn) {
    let scale = 1;
    const [all, entitledTo] = queues.get(0).now, farmSize = Math.max(all, entitledTo ?? 0);
    for (const { now, min, max } of siblings) scale = Math.max(scale, now[0], now[1] ?? 0, min ?? 0, max !== null && max <= 2 * farmSize ? max : 0);
    for (const one of drawn) bar(one, scale);
  }
  function bar({ row, now: [assigned, entitled], min: low, max: high }, scale) {
    const cell = row.cells[1], [fill, min, max, share] = cell.firstElementChild.children;
    const at = (n) => `${Math.min(100, (100 * n) / scale)}%`;
    fill.style.width = at(assigned);
    fill.classList.toggle("low", low !== null && assigned < low);
    min.hidden = low === null; if (low !== null) min.style.left = at(low);
    max.hidden = high === null || high > scale; if (high !== null) max.style.left = at(high);
    share.hidden = entitled === null; if (entitled !== null) share.style.left = at(entitled);
    cell.setAttribute("aria-label",
      `${assigned} agents` + (entitled === null ? "" : `, entitled to ${entitled}`) + (low === null ? "" : `, minimum ${low}`) + (high === null ? "" : `, maximum ${high}`));
  }

  // --- opening, closing, moving about ---

  const of = (row) => queues.get(Number(row.dataset.id));
  function open(one, isOpen) {
    one.open = isOpen;
    if (one.row) one.row.setAttribute("aria-expanded", isOpen);
  }
  function expand(one, isOpen) {
    if (!one.below.length) return;
    open(one, isOpen);
    remember();
    show();
  }
  function remember() {
    sessionStorage.setItem(KEY, JSON.stringify([...queues.values()].filter((one) => one.open && one.below.length).map(({ id }) => id)));
  }
  function all(isOpen) {
    for (const one of queues.values()) if (one.below.length && one.id !== 0) open(one, isOpen);
    remember();
    show();
  }
  function focusable(one) {
    for (const other of body.querySelectorAll('[tabindex="0"]')) other.tabIndex = -1;
    if (one) { one.row.tabIndex = 0; chosen = one.id; }
  }
  function go(one) { if (one) { focusable(one); one.row.focus(); } }
  // So many rows further; those that are not drawn yet are, first.
  function step(one, by) {
    const to = visible.indexOf(one) + by;
    if (to >= painted) paint(to - painted + AT_ONCE);
    go(visible[to]);
  }
  function openPanel(one) { focusable(one); farm.open(`/page/queues/${one.id}`, one.row); }

  const keys = {
    ArrowDown: (one) => step(one, 1),
    ArrowUp: (one) => step(one, -1),
    ArrowRight: (one) => { if (one.below.length) { if (one.open) step(one, 1); else expand(one, true); } },
    ArrowLeft: (one) => { if (one.open && one.below.length) expand(one, false); else go(queues.get(one.parent)); },
    Home: () => go(visible[0]),
    End: (one) => step(one, visible.length - 1 - visible.indexOf(one)),
    Enter: openPanel,
    " ": openPanel,
  };
  body.addEventListener("keydown", (event) => {
    const row = event.target.closest("tr");
    if (row && keys[event.key] && !event.altKey && !event.ctrlKey && !event.metaKey) { event.preventDefault(); keys[event.key](of(row)); }
  });
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (!row) return;
    const one = of(row);
    if (event.target.closest(".twist") && one.below.length) expand(one, !one.open);
    else openPanel(one);
  });
  find.addEventListener("input", show);
  document.getElementById("open-all").addEventListener("click", () => all(true));
  document.getElementById("close-all").addEventListener("click", () => all(false));

  // --- moving a queue below another, by its path or by dragging ---

  // What may be changed: all, or what is in or below the queue that the token is bound to.
  const top = Number(tree.dataset.edit || 0);
  function mine(one) {
    for (let at = one; at; at = queues.get(at.parent)) if (at.id === top) return true;
    return false;
  }
  const OFFERED = 50;
  function offerPaths(event) {
    if (event.target.name !== "parent") return;
    const typed = event.target.value.toLowerCase(), paths = [];
    for (const one of queues.values()) {
      if (paths.length < OFFERED && one.path.toLowerCase().includes(typed) && mine(one)) paths.push(one.path);
    }
    document.getElementById("paths").replaceChildren(...paths.map((path) => new Option(path, path)));
  }
  for (const name of ["focusin", "input"]) document.getElementById("panel").addEventListener(name, offerPaths);

  let pressed = null, dragged = null;
  if ("edit" in tree.dataset) body.addEventListener("pointerover", (event) => {
    const row = event.target.closest("tr");
    if (row) row.draggable = mine(of(row)) && of(row).id !== top;
  });
  const over = (row) => { for (const old of body.querySelectorAll(".target")) old.classList.remove("target"); if (row) row.classList.add("target"); };
  body.addEventListener("pointerdown", (event) => { pressed = event.target.closest("tr"); });
  body.addEventListener("dragstart", (event) => {
    // The browser begins with the row that is there now: rows may have moved since the hand came down.
    const there = event.target.closest("tr"), row = pressed?.isConnected ? pressed : there;
    dragged = of(row);
    if (row !== there) event.dataTransfer.setDragImage(row, 0, 0);
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", dragged.path);
  });
  for (const name of ["dragenter", "dragover"]) body.addEventListener(name, (event) => {
    const row = event.target.closest("tr");
    if (!dragged || !row || of(row) === dragged || !mine(of(row))) return;
    event.preventDefault();
    over(row);
  });
  body.addEventListener("dragend", () => { dragged = null; over(null); });
  body.addEventListener("drop", (event) => {
    const row = event.target.closest("tr");
    event.preventDefault();
    over(null);
    if (!dragged || !row || of(row) === dragged) return;
    htmx.ajax("POST", `${farm.root}/page/queues/${dragged.id}/move`, { source: tree, swap: "none", values: { parent_id: row.dataset.id } });
    dragged = null;
  });

  // --- as the farm lives ---

  let live = false, again = false;
  const refresh = farm.calm(1000, async () => {
    if (loading) { again = true; return; } // the answers of two might come in another order
    const since = await load();
    if (again) { again = false; refresh(); }
    if (since === null || live) return;
    live = true;
    farm.live("queues", since, { rows: update, stale: refresh });
  });
  document.addEventListener("done", refresh);
  refresh();
})();
