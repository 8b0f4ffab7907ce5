// Draws the looks that /events sends. What comes from the daemon is only ever set as text.
"use strict";

const KEPT = 60; // checks of a mount that are drawn
const SILENT = 5000; // after so many milliseconds without a look it is said that none comes
const AGAIN = 3000; // and so long after a refusal it is tried again

const recent = new Map(); // checks by vassal and path, the newest last
let heard = 0;
let last = null;

const byId = (id) => document.getElementById(id);

function make(tag, kind, ...children) {
  const element = document.createElement(tag);
  if (kind) element.className = kind;
  element.append(...children);
  return element;
}

function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min`;
  if (s < 172800) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86400)} days`;
}

function took(micros) {
  if (micros === null) return "";
  if (micros < 1000) return `${micros} µs`;
  if (micros < 1e6) return `${(micros / 1000).toPrecision(3)} ms`;
  return `${(micros / 1e6).toPrecision(3)} s`;
}

function line(checks) {
  const svgs = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(svgs, "svg");
  svg.setAttribute("viewBox", "0 0 120 24");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", checks.length ? `the last ${checks.length} checks, up to ${took(Math.max(...checks))}` : "not checked yet");
  const floor = document.createElementNS(svgs, "path");
  floor.setAttribute("class", "floor");
  floor.setAttribute("d", "M0 23.5H120");
  svg.append(floor);
  if (checks.length) {
    const most = Math.max(...checks, 1);
    const at = (value, i) => [118 - (checks.length - 1 - i) * (116 / (KEPT - 1)), 22 - (19 * value) / most];
    const points = checks.map((value, i) => at(value, i).map((n) => n.toFixed(1)).join(","));
    const drawn = document.createElementNS(svgs, "polyline");
    drawn.setAttribute("points", points.join(" "));
    const [x, y] = at(checks[checks.length - 1], checks.length - 1);
    const end = document.createElementNS(svgs, "circle");
    for (const [key, value] of [["cx", x], ["cy", y], ["r", 1.8]]) end.setAttribute(key, value);
    svg.append(drawn, end);
  }
  return svg;
}

const PHASES = { running: "well", reloading: "care", spawning: "care", preparing: "care", doubtful: "care", suspended: "" };
const WORDS = { gave_up: "given up", suspended: "stopped" };
const STATES = { healthy: "well", slow: "care", unknown: "care" };
const grade = (words, word) => (word in words ? words[word] : "ill");

function mount(row, m) {
  const state = grade(STATES, m.state);
  const checks = recent.get(`${row.name}\n${m.path}`) || [];
  return make("div", `mount ${state === "well" ? "" : state}`,
    make("span", "path", m.path), make("span", `word ${state}`, m.state), make("span", "took", took(m.micros)), line(checks));
}

function row(r) {
  const name = make("div", "", make("div", "name", r.name));
  const counts = [];
  if (r.ends) counts.push(r.ends === 1 ? "1 end" : `${r.ends} ends`);
  if (r.failures > 1) counts.push(`${r.failures} failures in a row`);
  else if (r.flapped !== null) counts.push(`${r.flapped} failures`);
  if (counts.length) name.append(make("div", "sub", counts.join(", ")));
  if (r.runs_as_root) name.append(make("div", "sub ill", "runs as root"));
  if (r.bad_file) name.append(make("div", "sub care", "its file has mistakes"));
  if (r.reload_given_up) name.append(make("div", "sub care", "its reload was given up; liege status says why"));
  const phase = r.state === r.phase || r.state === "gave_up" ? "" : `${WORDS[r.phase] || r.phase} `;
  const state = make("div", "state",
    make("span", `word ${grade(PHASES, r.state)}`, WORDS[r.state] || r.state), make("div", "sub", `${phase}for ${span(r.since)}`));
  if (r.phase === "running" && !r.ready) state.append(make("div", "sub care", "not ready yet"));
  if (r.retry_in !== null) state.append(make("div", "sub", `again in ${span(r.retry_in)}`));
  const mounts = make("div", "mounts", ...r.mounts.map((m) => mount(r, m)));
  if (r.mounts_hidden) mounts.append(make("div", "sub", `and ${r.mounts_hidden} more mounts`));
  if (r.state === "doubtful") mounts.append(make("div", "sub care", "it may serve nothing; liege status says why"));
  if (r.last_failure) {
    const end = r.last_failure;
    mounts.append(make("div", "sub", `last failure ${span(last.at - end.at)} ago, ${end.cause}: ${end.what}`));
  }
  return make("article", r.ill ? "row ill" : "row", name, state, mounts);
}

function end(e) {
  const at = make("time", "", `${span(last.at - e.at)} ago`);
  at.dateTime = new Date(e.at * 1000).toISOString();
  at.title = new Date(e.at * 1000).toLocaleString();
  const again = e.gave_up ? ", given up" : e.again_in === null ? "" : e.again_in > 0 ? `, again after ${span(e.again_in)}` : ", again at once";
  return make("li", "", at, make("span", "name", e.vassal), make("span", "cause", make("span", `word ${e.failed ? "ill" : ""}`, e.cause), e.count > 1 ? ` ×${e.count}` : ""),
    make("span", "what", `${e.what} `, make("span", "sub", `(lived ${span(e.lived)}${again})`)));
}

function total(name, value, more, ill) {
  const number = make("dd", "", String(value));
  if (more) number.append(" ", make("small", "", more));
  return make("div", ill ? "ill" : "", make("dt", "", name), number);
}

function draw() {
  const look = last;
  byId("totals").replaceChildren(
    total("vassals up", look.up, `of ${look.vassals}`, false),
    total("down", look.down, "", look.down > 0),
    total("flapping", look.flapping, "", look.flapping > 0),
    ...(look.doubtful ? [total("doubtful", look.doubtful, "", true)] : []),
    total("unhealthy mounts", look.mounts_ill, `of ${look.mounts}`, look.mounts_ill > 0),
    ...(look.unread ? [total("directories not readable", look.unread, "", true)] : []),
    ...(look.held ? [total("kept without a directory", look.held, "", true)] : []),
    total("files with mistakes", look.bad_files.length, "", look.bad_files.length > 0),
    total("since the start", span(look.uptime), "", false));
  byId("rows").replaceChildren(...(look.rows.length ? look.rows.map(row) : [make("p", "empty", "There are none.")]));
  byId("hidden").hidden = look.hidden === 0;
  byId("hidden").textContent = `${look.hidden} more are not shown: those that need eyes come first, and metrics has them all.`;
  byId("bad").hidden = look.bad_files.length === 0;
  byId("bad-files").textContent = look.bad_files.join(", ");
  byId("ends").replaceChildren(...(look.ends.length ? look.ends.map(end) : [make("li", "empty", "None since the daemon started.")]));
  document.title = `${look.ill ? `(${look.ill}) ` : ""}liege · ${location.hostname}`;
}

function say(lost) {
  const link = byId("link");
  link.className = lost ? "lost" : "";
  link.textContent = lost
    ? heard ? `no news for ${span((Date.now() - heard) / 1000)}: what is shown is old` : "the daemon does not answer"
    : `${last.shutting_down ? "is ending" : "live"} · ${location.host} · version ${last.version}`;
}

function hear(look, whole) {
  last = look;
  heard = Date.now();
  if (whole) recent.clear();
  const known = new Set();
  for (const r of look.rows) {
    for (const m of r.mounts) {
      const key = `${r.name}\n${m.path}`;
      known.add(key);
      const checks = m.recent || recent.get(key) || [];
      if (!m.recent && m.micros !== null) checks.push(m.micros);
      recent.set(key, checks.slice(-KEPT));
    }
  }
  for (const key of recent.keys()) if (!known.has(key)) recent.delete(key);
  // Somebody who marks a text wants to keep it for a moment.
  if (getSelection().isCollapsed) draw();
  say(false);
}

function listen() {
  const events = new EventSource("events");
  events.addEventListener("whole", (event) => hear(JSON.parse(event.data), true));
  events.addEventListener("look", (event) => hear(JSON.parse(event.data), false));
  events.onerror = () => {
    say(true);
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN); // refused; a lost one is tried again by itself
  };
}

setInterval(() => { if (heard && Date.now() - heard > SILENT) say(true); }, 1000);
listen();
