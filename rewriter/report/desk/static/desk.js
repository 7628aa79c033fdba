// The review desk in the browser: keys, the edit box judged while one types, questions, the recording.
// Pages come from the server; after each act the main part is fetched anew, so that the recording plays on.
"use strict";

const PAUSE = 250; // milliseconds without a keystroke after which the text is judged
const POLL = 500; // milliseconds between two looks at passages being asked in the background

const one = (selector, root = document) => root.querySelector(selector);
const work = () => one("#work");
const key = () => work().dataset.key;

// --- talking to the desk ---------------------------------------------------------------------------------------------

function say(text, wrong = false) {
  const place = one("#said");
  place.textContent = text;
  place.classList.toggle("wrong", wrong);
}

async function send(path, body, signal) {
  const options = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), signal };
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The desk does not answer. Is `rewriter review` still running?");
  }
  if (!answer.headers.get("content-type").startsWith("application/json")) throw new Error(await answer.text());
  const said = await answer.json();
  if (said.error) throw new Error(said.error);
  return said;
}

async function attempt(act) {
  try {
    await act();
  } catch (error) {
    if (error.name !== "AbortError") say(error.message, true);
  }
}

let here = location.href; // what the main part shows

// Puts the main part of a page in the place of this one's.
async function show(address, push = true) {
  const answer = await fetch(address, { headers: { accept: "text/html" } });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (!one("#work", page)) throw new Error(page.body.textContent.trim());
  const same = player() && one("#player", page) && player().dataset.media === one("#player", page).dataset.media;
  work().replaceWith(document.importNode(one("#work", page), true));
  if (!same) {
    player()?.remove();
    const other = one("#player", page);
    if (other) work().after(document.importNode(other, true));
  }
  const dialog = one("#term", page);
  if (dialog && !one("#term")) document.body.append(document.importNode(dialog, true));
  document.title = page.title;
  here = new URL(address, location.href).href;
  if (push) {
    history.pushState(null, "", address);
    scrollTo(0, 0);
    work().focus({ preventScroll: true });
  }
}

// The same passage again, as it is now; without a version in the address, so that the one that stands is shown.
const renew = () => show(location.pathname + strip(location.search), false).then(() => {
  history.replaceState(null, "", location.pathname + strip(location.search));
});

function strip(search) {
  const query = new URLSearchParams(search);
  query.delete("view");
  const text = query.toString();
  return text && `?${text}`;
}

// --- deciding --------------------------------------------------------------------------------------------------------

const box = () => one("#edit");
const changed = () => box() !== null && box().value !== box().defaultValue;

function leave() {
  return !changed() || confirm("The text you typed is not kept yet. Leave it?");
}

async function decide(kind, text = "") {
  if (kind !== "edit" && !leave()) return;
  const said = await send(`/passage/${key()}/decide`, { kind, text });
  await renew();
  say(said.said);
}

async function acceptAndGo() {
  await decide("accept");
  one('[data-key="n"]') ? await go("n") : say("Accepted. Nothing is left to look at.");
}

async function go(name) {
  const link = one(`[data-key="${name}"]`);
  if (!link) return say("There is none.");
  if (!leave()) return;
  if (name === "l") location.assign(link.href);
  else await show(link.href);
}

async function nextVersion() {
  const links = [...document.querySelectorAll(".versions nav a")];
  if (links.length < 2) return say("There is no other version.");
  if (!leave()) return;
  const at = links.findIndex((link) => link.hasAttribute("aria-current"));
  await show(links[(at + 1) % links.length].href);
}

// --- judging while typing --------------------------------------------------------------------------------------------

let timer = 0;
let asked = new AbortController();

function typed() {
  clearTimeout(timer);
  asked.abort();
  timer = setTimeout(() => attempt(judge), PAUSE);
}

async function judge() {
  asked = new AbortController();
  const said = await send(`/passage/${key()}/judge`, { text: box().value }, asked.signal);
  one("#compare").innerHTML = said.html; // made by the desk's own templates, which escape
  one("#judged").textContent = said.accepted ? "accepted" : "rejected: see the findings above";
  one("#judged").classList.toggle("wrong", !said.accepted);
}

function put(text) {
  box().value = text;
  box().focus();
  typed();
}

// --- asking ----------------------------------------------------------------------------------------------------------

async function ask(instruction) {
  const passage = key();
  const button = one("#ask button");
  button.disabled = true;
  work().setAttribute("aria-busy", "true");
  say("Asking the model…");
  try {
    const said = await send(`/passage/${passage}/ask`, { instruction, text: box().value });
    if (key() === passage) await renew();
    say(said.said);
  } finally {
    button.disabled = false;
    work().removeAttribute("aria-busy");
  }
}

// --- terms -----------------------------------------------------------------------------------------------------------

let touched = [];

function openTerm() {
  const form = one("#term-form");
  const chosen = getSelection();
  const text = document.activeElement === box()
    ? box().value.slice(box().selectionStart, box().selectionEnd)
    : chosen.toString();
  const of = (side) => chosen.anchorNode?.parentElement?.closest(`.${side}`);
  form.reset();
  form.elements.heard.value = of("source") ? text.trim() : "";
  form.elements.written.value = of("source") ? "" : text.trim();
  settleTerm([], "");
  one("#term").showModal();
  (form.elements.heard.value ? form.elements.written : form.elements.heard).focus();
}

function settleTerm(keys, text) {
  touched = keys;
  one("#touched").textContent = text;
  one('[data-act="anew"]').hidden = !keys.length;
}

async function addTerm(form) {
  const { heard, written, note, certain } = form.elements;
  const term = { heard: heard.value, written: written.value, note: note.value, certain: certain.checked };
  const said = await send("/terms/add", term);
  const count = said.touched.length;
  const which = count === 1 ? "1 passage that is not settled is touched." : `${count} passages that are not settled are touched.`;
  settleTerm(said.touched, `${said.said} ${which}`);
  if (count) one('[data-act="anew"]').focus();
}

async function askAnew() {
  const written = one("#term-form").elements.written.value;
  const keys = touched;
  one("#term").close();
  await follow(await send("/terms/ask", { keys, why: `term: ${written}` }));
}

async function follow(errand) {
  while (errand.running) {
    say(`Asking again: ${errand.done} of ${errand.total}…`);
    await new Promise((resolve) => setTimeout(resolve, POLL));
    errand = await (await fetch("/errand")).json();
  }
  if (key() && !changed()) await renew();
  const results = Object.entries(errand.results).map(([what, count]) => `${count} ${what}`).join(", ");
  say(errand.error || `Asked ${errand.done} again: ${results || "nothing new"}.`, Boolean(errand.error));
}

// --- the recording ---------------------------------------------------------------------------------------------------

const player = () => one("#player");

function play() {
  const media = player()?.firstElementChild;
  if (!media || !("begin" in work().dataset)) return say("There is no recording of this passage.");
  if (!media.paused) return media.pause();
  const { begin, finish } = work().dataset;
  if (media.currentTime < begin || media.currentTime >= finish) media.currentTime = begin;
  return media.play();
}

// --- keys and buttons ------------------------------------------------------------------------------------------------

const ACTS = {
  accept: () => decide("accept"),
  restore: () => decide("restore"),
  draft: () => (one('[data-act="draft"]') ? decide("draft") : say("No draft was turned down here.")),
  edit: () => decide("edit", box().value),
  done: () => decide("done"),
  undo: () => decide("undo"),
  reset: () => put(box().defaultValue),
  heard: (button) => put(button.dataset.text),
  term: openTerm,
  anew: askAnew,
  close: (button) => button.closest("dialog").close(),
  help: () => one("#help").showModal(),
  play,
  export: async () => say((await send("/export", {})).said),
  learn: async (button) => {
    const said = await send("/terms/add", { heard: button.dataset.heard, written: button.dataset.written });
    button.disabled = true;
    button.textContent = "Added";
    say(`${said.said} Passages touched: ${said.touched.length}.`);
  },
};

// Keys of a passage; pages.KEYS tells them to people.
const KEYS = {
  a: ACTS.accept, A: acceptAndGo, r: ACTS.restore, f: ACTS.draft, d: ACTS.done, u: ACTS.undo, t: openTerm,
  e: () => { box().focus(); box().scrollIntoView({ block: "nearest" }); },
  i: () => one("#instruction").focus(),
  v: nextVersion, j: () => go("j"), k: () => go("k"), n: () => go("n"), l: () => go("l"), " ": play,
};

function listKey(name) {
  const links = [...document.querySelectorAll(".passages a")];
  const at = links.indexOf(document.activeElement);
  if (name === "j") links[Math.min(at + 1, links.length - 1)]?.focus();
  if (name === "k") links[Math.max(at - 1, 0)]?.focus();
  if (name === "n") links[0]?.click();
  return "jkn".includes(name);
}

document.addEventListener("keydown", (event) => {
  const at = event.target;
  if (event.isComposing) return; // the keys belong to an input method
  const typing = at.matches("input, textarea, select, dialog *");
  if (at === box() && event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    attempt(ACTS.edit);
  } else if (typing && event.key === "Escape" && !at.closest("dialog")) {
    work().focus();
  } else if (!typing && !event.ctrlKey && !event.metaKey && !event.altKey && !one("dialog[open]")) {
    pressed(event);
  }
});

function pressed(event) {
  if (event.key === " " && (!player() || event.target.matches("button, a, summary, audio, video"))) return;
  if (event.key === "?") attempt(ACTS.help);
  else if (event.key === "/") key() ? location.assign("/?show=all") : one('[name="text"]')?.focus();
  else if (key() && KEYS[event.key]) attempt(KEYS[event.key]);
  else if (key() || !listKey(event.key)) return;
  event.preventDefault();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-act]");
  const link = event.target.closest("#work a[data-key], .versions a");
  if (button) attempt(() => ACTS[button.dataset.act](button));
  else if (link && key() && link.dataset.key !== "l" && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    if (leave()) attempt(() => show(link.href));
  }
});

document.addEventListener("submit", (event) => {
  if (event.target.id === "ask") attempt(() => ask(one("#instruction").value));
  else if (event.target.id === "term-form") attempt(() => addTerm(event.target));
  else return;
  event.preventDefault();
});

document.addEventListener("input", (event) => {
  if (event.target === box() && !event.isComposing) typed();
});
document.addEventListener("compositionend", (event) => {
  if (event.target === box()) typed();
});
document.addEventListener("change", (event) => {
  if (event.target.closest(".bar select")) event.target.form.submit();
});
addEventListener("popstate", () => {
  if (!leave()) history.pushState(null, "", here);
  else attempt(() => show(location.href, false));
});
addEventListener("beforeunload", (event) => {
  if (changed()) event.preventDefault();
});
if (changed()) typed(); // before this script was there
if ("errand" in document.body.dataset) attempt(async () => follow(await (await fetch("/errand")).json()));
