// Lists of jobs and of agents: what is chosen, bars, and rows that follow the stream.
"use strict";

(() => {
  const table = document.querySelector("table[data-topic]");
  const body = document.getElementById("rows");
  const all = document.getElementById("all");
  const chosen = document.getElementById("chosen");
  const row = (id) => document.getElementById(table.dataset.topic[0] + id);

  function put(cell, text) { if (cell && cell.textContent !== text) cell.textContent = text; }
  function chip(at, state) {
    const found = at.querySelector(".chip");
    if (found.textContent !== state) { found.textContent = state; found.className = `chip s-${state}`; }
  }

  // [id, state, waiting, running, failed, undone, assigned, title, queue, priority, reason]
  function job(at, [, state, waiting, running, failed, undone, assigned, title, queue, priority, reason]) {
    const total = Number(at.dataset.total), done = total - undone;
    at.dataset.t = `${waiting},${running},${done},${failed}`;
    chip(at, state);
    const link = at.querySelector("td.title a"), place = at.querySelector("td.queue");
    const moved = place.textContent !== queue;
    put(link, title); link.title = title;
    put(place, queue); place.title = queue;
    put(at.querySelector("td.done"), `${Math.floor((100 * done) / total)} %`);
    put(at.querySelector("td.failed"), failed ? String(failed) : "");
    put(at.querySelector("td.agents"), assigned ? String(assigned) : "");
    put(at.querySelector("td.prio"), String(priority));
    put(at.querySelector("td.reason"), reason || "");
    parts(at);
    return moved; // who may change it may be others now
  }

  // [id, state, job, title, tasks]
  function agent(at, [, state, jobId, title, tasks]) {
    chip(at, state);
    const cell = at.querySelector(".work");
    if (jobId === null) { cell.replaceChildren(); return; }
    const link = document.createElement("a");
    link.href = `${farm.root}/page/jobs/${jobId}`;
    link.textContent = title || `job ${jobId}`;
    cell.replaceChildren(link, ` × ${tasks}`);
  }

  // Whether a row belongs on this page of the list, as far as it says.
  const shown = table.dataset;
  function belongsHere([id, state, , , , , , title, queue]) {
    if (shown.state && state !== shown.state) return false;
    if (shown.topic !== "jobs") return Boolean(shown.state) || Boolean(row(id));
    const full = body.rows.length >= Number(shown.page);
    return (!shown.title || title.toLowerCase().includes(shown.title.toLowerCase()))
      && (!shown.queue || queue === shown.queue || queue.startsWith(`${shown.queue}/`))
      && (!shown.before || id < Number(shown.before))
      && (!full || id >= Number(body.rows[body.rows.length - 1].dataset.id));
  }
  const draw = { jobs: job, agents: agent }[shown.topic];
  // True: the list is another one now.
  function update(change) {
    const at = row(change[0]);
    const other = at ? draw(at, change) : false;
    return other || Boolean(at) !== belongsHere(change);
  }

  function parts(at) { farm.parts(at.querySelector(".parts"), at.dataset.t); }

  function count() {
    const boxes = [...body.querySelectorAll("input[name=id]")];
    const number = boxes.filter((box) => box.checked).length;
    const bulk = document.getElementById("bulk-bar");
    if (bulk) bulk.hidden = number === 0;
    if (chosen) chosen.textContent = number ? `${number} chosen` : "none chosen";
    if (all) { all.hidden = boxes.length === 0; all.checked = number > 0 && number === boxes.length; all.indeterminate = number > 0 && number < boxes.length; }
  }

  function drawn(kept) {
    for (const at of body.querySelectorAll("tr[data-t]")) parts(at);
    for (const box of body.querySelectorAll("input[name=id]")) if (kept.has(box.value)) box.checked = true;
    count();
  }

  let kept = new Set();
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.target !== body) return;
    kept = new Set([...body.querySelectorAll("input[name=id]:checked")].map((box) => box.value));
  });
  document.addEventListener("htmx:afterSwap", (event) => { if (event.target === body) drawn(kept); });
  body.addEventListener("change", count);
  if (all) all.addEventListener("change", () => { for (const box of body.querySelectorAll("input[name=id]")) box.checked = all.checked; count(); });
  body.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-panel]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    farm.open(link.dataset.panel, link);
  });

  const refresh = farm.calm(2000, () => htmx.trigger(body, "refresh"));
  document.addEventListener("done", refresh);
  drawn(kept);
  // Jobs that are over are not told of, but that they are gone from those that are not.
  const over = ["done", "failed"].includes(shown.state);
  farm.live(shown.topic, shown.since, {
    rows: (rows) => { if (rows.filter(update).length) refresh(); },
    stale: (change) => {
      const mine = (change.gone || []).some((id) => over || row(id));
      if (mine || !("gone" in change || "new" in change) || (change.new && shown.first)) refresh();
    },
  });
  const expects = () => shown.topic !== "jobs" || body.querySelector(".s-queued, .s-running, .s-paused");
  farm.regularly(Number(shown.soon), Number(shown.every), () => { if (expects()) refresh(); });
})();
