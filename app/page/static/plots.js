// Plots of what went on. Who changed a queue is a mark on each of them.
"use strict";

(() => {
  const plots = document.getElementById("plots");
  const none = document.getElementById("none");
  const style = getComputedStyle(document.documentElement);
  const ink = (name) => style.getPropertyValue(`--${name}`).trim();
  const COLOURS = ["#2f78b7", "#4b8f6a", "#c4843a", "#7a4fb0", "#b0506b", "#3f9aa0", "#8a7d2c", "#6674c9", "#a0653f", "#5c8a2f", "#9a5fa5", "#5f6fae"], OTHERS = "#8b929b";
  const LEAST_STEPS = 15; // that an axis of time shows
  const drawn = [];

  function marks(changes) {
    return (plot) => {
      const pen = plot.ctx;
      pen.save();
      pen.strokeStyle = ink("share"); pen.globalAlpha = 0.45; pen.setLineDash([2, 3]);
      for (const one of changes) {
        const x = Math.round(plot.valToPos(Date.parse(one.at) / 1000, "x", true));
        if (x < plot.bbox.left || x > plot.bbox.left + plot.bbox.width) continue;
        pen.beginPath(); pen.moveTo(x, plot.bbox.top); pen.lineTo(x, plot.bbox.top + plot.bbox.height); pen.stroke();
      }
      pen.restore();
    };
  }

  const moment = new Intl.DateTimeFormat([], plots.dataset.span === "month" ? { day: "numeric", month: "short" } : { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const times = (_, splits) => splits.map((at) => moment.format(new Date(1000 * at)));

  function plot(name, told, data, series, extra) {
    const at = document.getElementById(`plot-${name}`);
    const axis = { stroke: ink("ink-2"), grid: { stroke: ink("line"), width: 1 }, ticks: { stroke: ink("line") }, font: "12px system-ui" };
    const made = new uPlot({
      width: at.clientWidth, height: 220,
      series: [{}, ...series],
      axes: [{ ...axis, values: times, space: 70 }, { ...axis, size: 52 }],
      scales: { x: { range: (_, low, high) => [Math.min(low, high - LEAST_STEPS * told.step_seconds), high] }, y: { range: (_, low, high) => [0, Math.max(1, high * 1.08)] } },
      hooks: { draw: [marks(told.changes)] },
      legend: { live: true },
      ...extra,
    }, data, at);
    drawn.push([made, at]);
    const last = series.map((one, place) => {
      const value = (one.raw || data[place + 1]).at(-1);
      return `${one.label} ${value === null ? "not known" : Math.round(value)}`;
    });
    at.setAttribute("aria-label", `${document.getElementById(`c-${name}`).textContent}. Last: ${last.join(", ")}.`);
    at.removeAttribute("aria-labelledby");
  }

  const line = (label, colour, more) => ({ label, stroke: colour, width: 1.6, points: { show: false }, ...more });

  function show(told) {
    const x = told.points.map((one) => Date.parse(one.at) / 1000);
    if (x.length < 2) { none.textContent = "Figures are written once a minute: come back in a few minutes."; return; }
    const ids = Object.keys(told.names);
    const own = ids.reduce((top, id) => (told.names[id].length < told.names[top].length ? id : top));
    const below = ids.filter((id) => id !== own && told.points.some((one) => one.queues[id]));
    const layers = below.length ? below : [own];
    const of = (id, name) => told.points.map((one) => (one.queues[id] ? one.queues[id][name] : 0));
    const raw = layers.map((id) => of(id, "assigned"));
    // What is right in the queue, and in the children that are not among the busiest.
    const others = of(own, "assigned").map((all, i) => raw.reduce((left, one) => left - one[i], all)).map((left) => (left < 0.1 ? 0 : left)); // means are rounded
    const names = layers.map((id) => told.names[id]);
    if (others.some(Boolean)) { raw.push(others); names.push("others"); }
    const sums = [];
    raw.forEach((values, place) => sums.push(values.map((value, i) => value + (place ? sums[place - 1][i] : 0))));
    const colour = (place) => (place === layers.length ? OTHERS : COLOURS[place % COLOURS.length]);
    const stacked = raw.map((_, place) => line(names[place], colour(place), {
      fill: `color-mix(in srgb, ${colour(place)} 55%, ${ink("surface")})`, raw: raw[place], value: (u, value, s, i) => (i === undefined ? value : i === null ? "–" : raw[place][i]),
    }));
    const entitled = line("entitled", ink("ink"), { dash: [6, 4] });
    plot("queues", told, [x, ...sums.slice().reverse(), of(own, "entitled")], [...stacked.slice().reverse(), entitled]);
    const minutes = told.step_seconds / 60;
    plot("tasks", told, [x, told.points.map((one) => one.tasks_done / minutes), told.points.map((one) => one.tasks_failed / minutes)],
      [line("done", ink("done"), { fill: `${ink("done")}33` }), line("failed", ink("failed"))]);
    plot("waits", told, [x, told.points.map((one) => one.mean_wait), told.points.map((one) => (one.jobs_started ? one.longest_wait : null))],
      [line("mean", ink("running"), { spanGaps: true, points: { show: true, size: 4 } }), line("longest", ink("low"), { spanGaps: true, points: { show: true, size: 4 } })]);
    const states = ["working", "online", "draining", "disabled", "offline"];
    const colours = { working: ink("running"), online: ink("done"), draining: ink("paused"), disabled: ink("ink-2"), offline: ink("failed") };
    plot("agents", told, [x, ...states.map((state) => told.points.map((one) => one.agents[state] || 0))], states.map((state) => line(state, colours[state])));
  }

  new ResizeObserver(() => { for (const [made, at] of drawn) made.setSize({ width: at.clientWidth, height: 220 }); }).observe(plots);
  const query = new URLSearchParams({ span: plots.dataset.span, queue: plots.dataset.queue });
  fetch(`${farm.root}/page/history/figures?${query}`, { headers: { Accept: "application/json" } })
    .then((answer) => answer.json()).then((told) => (told.points ? show(told) : farm.refused(told, null)));
})();
