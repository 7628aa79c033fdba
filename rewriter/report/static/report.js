// Draws the report's list from its data as it comes into view, filters it, and answers the keys.
// Text of a transcript only ever becomes a text node. What the data holds is told in rewriter/report/page.py.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const passages = data.passages;
  const list = $("list");
  const TAGS = { same: "span", lost: "del", added: "ins", changed: "span", term: "span", fix: "s" };
  const MODES = { all: () => true, look: (p) => p.l > 0, kept: (p) => p.l === 2, repaired: (p) => data.statuses[p.s][0] === "repaired" };
  const UNTOUCHED = "untouched";
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;

  // --- elements ---

  function el(tag, name, ...children) {
    const node = document.createElement(tag);
    if (name) node.className = name;
    for (const child of children) if (child || child === 0) node.append(child);
    return node;
  }

  function icon(status) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("class", "mark");
    svg.setAttribute("viewBox", "0 0 10 10");
    svg.setAttribute("aria-hidden", "true");
    svg.append(document.createElementNS("http://www.w3.org/2000/svg", "use"));
    svg.firstChild.setAttribute("href", "#i-" + status);
    return svg;
  }

  function clock(seconds) {
    const s = Math.floor(seconds), pad = (n) => String(n).padStart(2, "0");
    const h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60;
    return h ? `${h}:${pad(m)}:${pad(s % 60)}` : `${m}:${pad(s % 60)}`;
  }

  // --- runs, rows, passages ---

  function findingOf(run) {
    return typeof run === "string" || run === undefined ? -1 : run[2] ?? -1;
  }

  function drawRun(run, next) {
    if (typeof run === "string") return [run];
    const [number, text, finding = -1, after = "", note = ""] = run;
    const kind = data.kinds[number];
    const nodes = [];
    if (text) {
      const node = el(TAGS[kind], `m ${kind}${finding >= 0 ? " found" : ""}`, text);
      if (note) node.title = note;
      if (finding >= 0 && findingOf(next) !== finding) node.append(el("sup", "", finding + 1));
      nodes.push(node);
    }
    if (after) nodes.push(el("ins", "m fix", after));
    const times = kind === "fix" && /stood here (\d+) times/.exec(note);
    if (times) nodes.push(el("span", "times", ` ×${Number(times[1]).toLocaleString("en")}`));
    return nodes;
  }

  function drawSide(name, runs, lang) {
    const side = el("div", `said ${name}`);
    side.lang = lang;
    side.dir = "auto";
    runs.forEach((run, i) => side.append(...drawRun(run, runs[i + 1])));
    return side;
  }

  function drawFinding(passage, number) {
    const [kind, rejects, message] = passage.g[number];
    const mean = data.meanings[kind];
    return el("li", rejects ? "reject" : "warn",
      el("b", "", `${number + 1} ${kind}${rejects ? "" : " (warning)"}: `), message, mean && el("span", "mean", ` · ${mean}`));
  }

  // `before` is the row above: a time or a speaker that stays the same is said once.
  function drawRow(passage, row, before, lang, columns, timed) {
    const [source, result, findings, begin, speaker] = row;
    const same = columns === 2 && [...source, ...result].every((run) => typeof run === "string");
    const node = el("div", `row${timed ? " timed" : ""}${same ? " same" : ""}`);
    if (timed) {
      const time = begin !== null && begin !== before[3] && clock(begin);
      const who = speaker && speaker !== before[4] && el("span", "speaker", speaker);
      node.append(el("div", "at", time, who));
    }
    node.append(drawSide("source", source, lang));
    if (columns === 2) node.append(drawSide("result", result, lang));
    const here = findings.filter((n) => passage.g[n][0] !== UNTOUCHED); // that is said in the margin
    if (here.length) node.append(el("ul", "found-list", ...here.map((n) => drawFinding(passage, n))));
    return node;
  }

  function drawSteps(passage) {
    if (!passage.x) return null;
    const node = el("div", "way", passage.x.map((step) => (data.steps[step] || [step])[0]).join(" → "));
    node.title = passage.x.map((step) => (data.steps[step] || [step, step])[1]).join("; then ");
    return node;
  }

  function drawMargin(passage, index) {
    const [status, name, meaning] = data.statuses[passage.s];
    const link = el("a", "", String(passage.n));
    link.href = `#p${index + 1}`;
    link.title = "Link to this passage";
    const heading = el("h3", "", link);
    heading.id = `h${index + 1}`;
    const state = el("div", `state ${status}`, icon(status), name);
    state.title = meaning;
    const time = passage.b !== undefined && `${clock(passage.b)}–${clock(passage.e ?? passage.b)}`;
    return el("div", "side", heading, state, time && el("div", "", time), passage.w && el("div", "speaker", passage.w),
      passage.q !== undefined && el("div", "", `score ${passage.q.toFixed(2)}`), drawSteps(passage),
      (passage.g || []).some((g) => g[0] === UNTOUCHED) && el("div", "way", "came back unchanged"));
  }

  function drawBody(passage, lang) {
    const kept = passage.l === 2;
    const columns = kept && !passage.d ? 1 : 2;
    const timed = passage.r.some((row) => row.length > 3);
    const body = el("div", `body${kept ? " rejected" : ""}${columns === 1 ? " one" : ""}`);
    if (kept) {
      const why = passage.y ? `${passage.y[0].toUpperCase()}${passage.y.slice(1)}.` : "No draft passed the check; the last one is shown beside it.";
      body.append(el("p", "banner", el("b", "", "Kept as it was said. "), el("span", "why", why)));
    }
    if (kept && columns === 2) {
      const heads = el("div", timed ? "heads timed" : "heads", timed && el("span"));
      heads.append(el("span", "", "as said: this is in the output"), el("span", "", "rejected draft: this is not"));
      body.append(heads);
    }
    passage.r.forEach((row, i) => body.append(drawRow(passage, row, passage.r[i - 1] || [], lang, columns, timed)));
    return body;
  }

  function draw(index) {
    const node = nodes[index];
    if (node.dataset.drawn) return;
    node.style.containIntrinsicSize = `auto ${node.style.height}`;
    node.style.height = "";
    node.dataset.drawn = "1";
    const passage = passages[index];
    node.append(drawMargin(passage, index), drawBody(passage, data.files[passage.f][1]));
    watcher.unobserve(node);
    highlight();
  }

  // --- the list ---

  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) draw(Number(entry.target.dataset.index));
  }, { rootMargin: "1200px 0px" });

  function letters(passage) {
    let count = 0;
    for (const row of passage.r) for (const run of row[0]) count += (typeof run === "string" ? run : run[1]).length;
    return count;
  }

  const nodes = [];
  const headings = [];
  {
    const perLine = Math.max(18, list.clientWidth / 2 / 17);
    const all = document.createDocumentFragment();
    passages.forEach((passage, index) => {
      if (data.files.length > 1 && (index === 0 || passages[index - 1].f !== passage.f)) {
        const heading = el("h2", "file", data.files[passage.f][0]);
        headings.push([heading, passage.f]);
        all.append(heading);
      }
      const node = el("article");
      node.id = `p${index + 1}`;
      node.dataset.index = index;
      node.tabIndex = -1;
      node.setAttribute("aria-labelledby", `h${index + 1}`);
      const lines = letters(passage) / perLine + passage.r.length * 0.6 + (passage.g ? passage.g.length : 0);
      node.style.height = `${Math.round(60 + lines * 27)}px`; // until it is drawn
      nodes.push(node);
      all.append(node);
    });
    list.append(all);
    for (const node of nodes) watcher.observe(node);
  }

  // --- filters ---

  const asked = { mode: "all", kind: "", term: "", file: "", text: "" };
  const SLICE = 60; // milliseconds
  const texts = []; // what a search looks through, made when nothing else is to be done
  let visible = passages.map((_, index) => index);

  function textOf(passage) {
    const sides = [[], []];
    for (const row of passage.r) {
      for (const side of [0, 1]) for (const run of row[side]) sides[side].push(typeof run === "string" ? run : run[1] + (run[3] || ""));
    }
    return `${sides[0].join("")}\n${sides[1].join("")}\n${passage.w || ""}`.toLowerCase();
  }

  function prepare(goOn) {
    while (texts.length < passages.length && goOn()) texts.push(textOf(passages[texts.length]));
    return texts.length === passages.length;
  }

  function prepareIdly(idle) {
    if (!prepare(() => idle.timeRemaining() > 2)) requestIdleCallback(prepareIdly);
  }

  function fits(passage, index) {
    return MODES[asked.mode](passage)
      && (!asked.file || passage.f === Number(asked.file))
      && (!asked.kind || (passage.g || []).some((g) => g[0] === asked.kind))
      && (!asked.term || (passage.m || []).includes(asked.term))
      && (!asked.text || (texts[index] || "").includes(asked.text));
  }

  function filter(changes) {
    Object.assign(asked, changes);
    const until = performance.now() + SLICE;
    // Right after opening, what is not looked through yet joins what was found, slice by slice.
    if (asked.text && !prepare(() => performance.now() < until)) setTimeout(() => filter({}));
    visible = [];
    passages.forEach((passage, index) => {
      const fit = fits(passage, index);
      if (fit) visible.push(index);
      if (nodes[index].hidden === fit) nodes[index].hidden = !fit;
    });
    const shownFiles = new Set(visible.map((index) => passages[index].f));
    for (const [heading, file] of headings) heading.hidden = !shownFiles.has(file);
    tell();
    highlight();
  }

  function tell() {
    const all = passages.length.toLocaleString("en");
    $("count").textContent = visible.length === passages.length ? all : `${visible.length.toLocaleString("en")} of ${all}`;
    $("empty").hidden = visible.length > 0 || !passages.length;
    for (const [id, key] of [["f-kind", "kind"], ["f-term", "term"], ["f-file", "file"]]) if ($(id)) $(id).value = asked[key];
    for (const button of document.querySelectorAll(".modes button")) button.setAttribute("aria-pressed", button.dataset.mode === asked.mode);
    for (const key of ["kind", "term", "file"]) {
      for (const button of document.querySelectorAll(`button[data-${key}]`)) button.setAttribute("aria-pressed", button.dataset[key] === asked[key]);
    }
  }

  // What was searched for, in the passages that are drawn (where the browser can).
  let waiting = 0;
  function highlight() {
    if (!CSS.highlights || waiting) return;
    waiting = requestAnimationFrame(() => {
      waiting = 0;
      CSS.highlights.delete("search");
      if (!asked.text) return;
      const found = new Highlight();
      for (const index of visible) if (nodes[index].dataset.drawn) addRanges(nodes[index], found);
      CSS.highlights.set("search", found);
    });
  }

  function addRanges(node, found) {
    const walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const text = walker.currentNode.data.toLowerCase();
      for (let at = text.indexOf(asked.text); at >= 0; at = text.indexOf(asked.text, at + asked.text.length)) {
        const range = new Range();
        range.setStart(walker.currentNode, at);
        range.setEnd(walker.currentNode, Math.min(at + asked.text.length, walker.currentNode.length));
        found.add(range);
      }
    }
  }

  // --- going places ---

  let here = -1;

  function go(index, focus = true) {
    if (!(index >= 0 && index < passages.length)) return;
    if (nodes[index].hidden) filter({ mode: "all", kind: "", term: "", file: "", text: $("f-text").value = "" });
    const at = visible.indexOf(index);
    for (const near of visible.slice(Math.max(0, at - 6), at + 7)) draw(near);
    if (here >= 0) nodes[here].classList.remove("here");
    here = index;
    nodes[here].classList.add("here");
    if (focus) nodes[here].focus({ preventScroll: true });
    nodes[here].scrollIntoView({ block: "start", behavior: "instant" });
    history.replaceState(null, "", `#p${index + 1}`);
    cursorTo(index);
  }

  // The passage from which the next one is counted: the one gone to, or the first in view.
  function current() {
    if (here >= 0 && !nodes[here].hidden) {
      const box = nodes[here].getBoundingClientRect();
      if (box.bottom > 0 && box.top < innerHeight) return here;
    }
    return visible.find((index) => nodes[index].getBoundingClientRect().bottom > $("count").closest(".bar").offsetHeight) ?? -1;
  }

  function step(direction, wanted) {
    const from = current();
    const at = visible.indexOf(from);
    const fresh = here !== from && direction > 0 ? at : at + direction;
    for (let i = fresh; i >= 0 && i < visible.length; i += direction) {
      if (wanted(passages[visible[i]])) return go(visible[i]);
    }
  }

  // --- the strip ---

  const strip = $("strip");
  const columns = strip ? [...strip.querySelectorAll("rect[data-target]")].map((rect) => Number(rect.dataset.target)) : [];
  let column = 0;

  function cursorTo(index) {
    if (!strip) return;
    column = Math.max(0, Math.min(columns.length - 1, Math.floor(index * columns.length / passages.length)));
    showCursor();
  }

  function showCursor() {
    $("cursor").setAttribute("x", column);
    strip.setAttribute("aria-valuenow", column + 1);
    const passage = passages[columns[column]];
    strip.setAttribute("aria-valuetext", `passage ${passage.n}, ${data.statuses[passage.s][1]}`);
  }

  if (strip) {
    const at = (event) => {
      const box = strip.getBoundingClientRect();
      return Math.max(0, Math.min(columns.length - 1, Math.floor((event.clientX - box.left) / box.width * columns.length)));
    };
    strip.addEventListener("mousemove", (event) => {
      column = at(event);
      showCursor();
      const passage = passages[columns[column]];
      strip.title = `${passage.n} · ${data.statuses[passage.s][1]}`;
    });
    strip.addEventListener("click", (event) => go(columns[at(event)]));
    strip.addEventListener("keydown", (event) => {
      const moves = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10, Home: -columns.length, End: columns.length };
      if (event.key in moves) column = Math.max(0, Math.min(columns.length - 1, column + moves[event.key]));
      else if (event.key === "Enter") go(columns[column]);
      else return;
      if (event.key !== "Enter") showCursor();
      event.preventDefault();
      event.stopPropagation();
    });
    showCursor();
  }

  // --- what people do ---

  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element && event.target.closest("a[href^='#p'], button[data-mode], button[data-kind], button[data-term], button[data-file]");
    if (!target) return;
    if (target.matches("a")) {
      event.preventDefault();
      go(Number(target.getAttribute("href").slice(2)) - 1);
      return;
    }
    for (const key of ["mode", "kind", "term", "file"]) {
      if (!(key in target.dataset)) continue;
      const value = target.dataset[key];
      if (key === "mode") filter(value === "all" ? { mode: "all", kind: "", term: "", file: "", text: $("f-text").value = "" } : { mode: value });
      else filter({ [key]: asked[key] === value ? "" : value });
      if (!target.closest(".bar")) toList();
    }
  });

  function toList() {
    document.querySelector(".bar").scrollIntoView({ behavior: still ? "instant" : "smooth" });
  }

  for (const [id, key] of [["f-kind", "kind"], ["f-term", "term"], ["f-file", "file"]]) {
    if ($(id)) $(id).addEventListener("change", (event) => filter({ [key]: event.target.value }));
  }

  let typing = 0;
  $("f-text").addEventListener("input", (event) => {
    clearTimeout(typing);
    typing = setTimeout(() => filter({ text: event.target.value.trim().toLowerCase() }), 40);
  });

  const looks = (p) => p.l > 0;
  $("next").addEventListener("click", () => step(1, looks));
  $("prev").addEventListener("click", () => step(-1, looks));
  $("help").addEventListener("click", () => $("keys").showModal());

  const KEYS = {
    j: () => step(1, () => true),
    k: () => step(-1, () => true),
    n: () => step(1, looks),
    p: () => step(-1, looks),
    g: () => scrollTo({ top: 0, behavior: "instant" }),
    "/": () => $("f-text").focus(),
    "?": () => $("keys").showModal(),
    1: () => filter({ mode: "all" }),
    2: () => filter({ mode: "look" }),
    3: () => filter({ mode: "kept" }),
    4: () => filter({ mode: "repaired" }),
    Escape: () => filter({ mode: "all", kind: "", term: "", file: "", text: $("f-text").value = "" }),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open) return;
    const field = event.target.matches("input, select, textarea");
    if (field && event.key !== "Escape") return;
    if (field) event.target.blur();
    const act = KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  addEventListener("beforeprint", () => visible.forEach(draw));
  addEventListener("hashchange", () => go(Number(location.hash.slice(2)) - 1));
  tell();
  if (/^#p\d+$/.test(location.hash)) go(Number(location.hash.slice(2)) - 1, false);
  if (window.requestIdleCallback) requestIdleCallback(prepareIdly);
  document.documentElement.dataset.ready = "1";
})();
