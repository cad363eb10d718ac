"use strict";
// The alignment explorer: a document in one view, each unit coloured; the unit pointed at, and the same bytes in the others.
const WIDTHS = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array };
const CHIPS = 40; // units of another view that are listed
const LISTED = 64; // symbols or bytes of one unit that are listed
const SHOWN = 400; // bytes of one unit that are shown as text
const BEFORE = 150; // of them in front of those that are looked for

// byte: the place that was pointed at; it stays the same in other views, where a unit may begin long before it.
const state = { document: null, view: null, unit: 0, byte: 0, held: false, spans: [] };

function unpack([width, text]) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return new WIDTHS[width](bytes.buffer);
}

function ends(lengths) {
  let sum = 0;
  return Array.from(lengths, (length) => (sum += length));
}

// A document is unpacked when it is first looked at.
function opened(entry) {
  if (entry.raw instanceof Uint8Array) return entry;
  entry.raw = unpack(entry.raw);
  for (const view of Object.values(entry.views)) {
    view.raw_ends = ends(unpack(view.unit_bytes));
    view.symbol_ends = ends(unpack(view.unit_symbols));
    view.symbols = unpack(view.symbols);
  }
  return entry;
}

const begin = (all, unit) => (unit ? all[unit - 1] : 0);

// The first unit that ends behind a byte.
function unitAt(rawEnds, byte) {
  let low = 0;
  let high = rawEnds.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rawEnds[middle] > byte) high = middle;
    else low = middle + 1;
  }
  return low;
}

// What stands for bytes: [text, escaped, end] for each character, as in text.py. Bytes that are no UTF-8, those of a
// character that a unit cuts too, are shown one by one. What would not be seen, or would move what is seen, is shown by
// its number; of marks that combine with what stands before them, that is the first.
const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const UNSEEN = /^[\p{C}\p{Z}]$/u;
const COMBINING = /^[\p{Mn}\p{Me}]$/u;

function glyphs(bytes) {
  const made = [];
  let at = 0;
  while (at < bytes.length) {
    const first = bytes[at];
    const length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
    let text = null;
    try {
      text = DECODER.decode(bytes.subarray(at, at + length));
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
    if (text === null || [...text].length !== 1) {
      made.push([`\\x${first.toString(16).padStart(2, "0")}`, true, (at += 1)]);
      continue;
    }
    const code = text.codePointAt(0);
    at += length;
    if (text === "\n") made.push(["↵", true, at]);
    else if (text === "\t") made.push(["→   ", true, at]);
    else if (code === 0x7f) made.push(["␡", true, at]);
    else if (code < 0x20) made.push([String.fromCodePoint(0x2400 + code), true, at]);
    else if (text !== " " && (UNSEEN.test(text) || (!made.length && COMBINING.test(text)))) made.push([code > 0xffff ? `\\U${hex(code, 8)}` : `\\u${hex(code, 4)}`, true, at]);
    else made.push([text, false, at]);
  }
  return made;
}

const hex = (value, digits) => value.toString(16).padStart(digits, "0");

// Appends bytes begin … end as text; those from … to are marked.
function appendBytes(parent, raw, start, end, from = 0, to = 0) {
  let place = start;
  let run = null;
  for (const [text, escaped, stop] of glyphs(raw.subarray(start, end))) {
    const marked = place < to && start + stop > from;
    const kind = `${escaped}${marked}`;
    if (!run || run.dataset.kind !== kind) {
      run = element(marked ? "mark" : "span", "", escaped ? "escape" : "");
      run.dataset.kind = kind;
      parent.append(run);
    }
    run.textContent += text;
    place = start + stop;
  }
}

function drawCode() {
  const { raw, views } = state.document;
  const rawEnds = views[state.view]?.raw_ends ?? [raw.length];
  const pane = $("code");
  const rows = document.createDocumentFragment();
  state.spans = [];
  let line = null;
  let at = 0;
  for (let unit = 0; unit < rawEnds.length; unit++) {
    state.spans.push([]);
    const unitEnd = Math.min(rawEnds[unit], raw.length);
    while (at < unitEnd) {
      const newline = raw.indexOf(10, at);
      const end = newline < 0 || newline >= unitEnd ? unitEnd : newline + 1;
      if (!line) {
        const row = element("div", undefined, "row");
        line = row.appendChild(element("span"));
        rows.append(row);
      }
      const span = line.appendChild(element("span", undefined, `u u${unit % 4}`));
      span.dataset.unit = unit;
      span.firstByte = at;
      appendBytes(span, raw, at, end);
      state.spans[unit].push(span);
      if (end - 1 === newline) line = null;
      at = end;
    }
    const first = state.spans[unit][0];
    if (first) {
      first.id = `unit-${unit}`;
      first.setAttribute("role", "option");
    }
  }
  pane.replaceChildren(rows);
}

function facts() {
  const { path, lang, source, split, number: place, bytes, raw, views } = state.document;
  const view = views[state.view];
  const cut = raw.length < bytes ? `, the first ${number(raw.length)} shown` : "";
  const made = view ? ` · ${counted(view.all_symbols, "symbol")} in ${counted(view.all_units, "unit")}` : "";
  $("document-facts").textContent = `${path} · ${lang} · ${source} · ${split}, document ${place} · ${counted(bytes, "byte")}${cut}${made}`;
}

// What a unit of the view is like.
function viewFacts() {
  const { symbols, units, mean_unit_raw_bytes, units_independent } = DATA.stats.views[state.view];
  const written = symbols === units ? "one symbol" : `${fixed(symbols / units, 1)} symbols`;
  const read = units_independent ? "can be read without the units in front of it" : "may need units in front of it to be read";
  $("view-facts").textContent = units
    ? `A unit of ${state.view} is ${fixed(mean_unit_raw_bytes, 1)} bytes of text on average, written as ${written}, and ${read}.`
    : "";
}

// Some numbers of a typed array as text.
function listed(values, start, end) {
  const some = Array.from(values.subarray(start, Math.min(end, start + LISTED)), String).join(" ");
  return end - start > LISTED ? `${some} … (${number(end - start)})` : some;
}

function describe() {
  const { raw, views } = state.document;
  const panel = $("unit");
  panel.replaceChildren();
  const view = views[state.view];
  if (!view || !view.raw_ends.length) {
    panel.append(element("p", "This document has no units.", "note"));
    return;
  }
  const start = begin(view.raw_ends, state.unit);
  const end = view.raw_ends[state.unit];
  const [firstSymbol, endSymbol] = [begin(view.symbol_ends, state.unit), view.symbol_ends[state.unit]];
  const firstId = DATA.stats.views[state.view].first_id;
  panel.append(element("h3", `${state.view}: unit ${number(state.unit + 1)} of ${number(view.all_units)}`));
  const list = element("dl");
  const fact = (name, value) => {
    list.append(element("dt", name));
    const cell = list.appendChild(element("dd", undefined, "mono"));
    if (value instanceof Node) cell.append(value);
    else cell.textContent = value;
  };
  const text = unitChip(state.unit, view, start, start);
  const bytes = Array.from(raw.subarray(start, Math.min(end, raw.length, start + LISTED)), (byte) => hex(byte, 2)).join(" ");
  fact("text", text);
  fact("bytes", `${number(start)} … ${number(end)} (${number(end - start)}): ${bytes}${end - start > LISTED ? " …" : ""}`);
  fact(endSymbol - firstSymbol === 1 ? "symbol" : "symbols", listed(view.symbols, firstSymbol, endSymbol));
  if (endSymbol - firstSymbol === 1) fact("model's id", String(firstId + view.symbols[firstSymbol]));
  fact("ratio", `${fixed((end - start) / (endSymbol - firstSymbol), 2)} bytes per symbol`);
  panel.append(list);
  for (const [name, other] of Object.entries(views)) {
    if (name !== state.view) panel.append(inOther(name, other, start, Math.min(end, raw.length)));
  }
}

// A unit's text, or of a long one the part around start … end, which is marked.
function unitChip(unit, view, start, end) {
  const { raw } = state.document;
  const unitStart = begin(view.raw_ends, unit);
  const unitEnd = Math.min(view.raw_ends[unit], raw.length);
  const from = unitEnd - unitStart > SHOWN ? Math.max(unitStart, Math.min(start - BEFORE, unitEnd - SHOWN)) : unitStart;
  const to = Math.min(unitEnd, from + SHOWN);
  const chip = element("span", undefined, `chip u${unit % 4}`);
  if (from > unitStart) chip.append(element("span", "… ", "escape"));
  appendBytes(chip, raw, from, to, start, end);
  if (to < view.raw_ends[unit]) chip.append(element("span", " …", "escape"));
  return chip;
}

// The units of another view that share bytes with start … end.
function inOther(name, view, start, end) {
  const block = element("div", undefined, "other");
  const first = unitAt(view.raw_ends, start);
  const last = unitAt(view.raw_ends, end - 1);
  const symbols = view.symbol_ends[last] - begin(view.symbol_ends, first);
  const count = last - first + 1;
  block.append(element("h3", `${name}: the same bytes lie in ${counted(count, "unit")}, ${counted(symbols, "symbol")}`));
  const chips = element("div", undefined, "chips");
  for (let unit = first; unit <= Math.min(last, first + CHIPS - 1); unit++) {
    const chip = unitChip(unit, view, start, end);
    const [from, to] = [begin(view.symbol_ends, unit), view.symbol_ends[unit]];
    chip.append(element("small", to - from > 8 ? counted(to - from, "symbol") : listed(view.symbols, from, to)));
    chips.append(chip);
  }
  if (count > CHIPS) chips.append(element("span", `and ${number(count - CHIPS)} more`, "note"));
  block.append(chips);
  return block;
}

function select(unit, scroll, byte) {
  for (const span of state.spans[state.unit] ?? []) span.classList.remove("on");
  state.spans[state.unit]?.[0]?.removeAttribute("aria-selected");
  state.unit = Math.max(0, Math.min(unit, state.spans.length - 1));
  state.byte = byte ?? begin(state.document.views[state.view]?.raw_ends ?? [], state.unit);
  const spans = state.spans[state.unit] ?? [];
  for (const span of spans) span.classList.add("on");
  if (spans.length) {
    $("code").setAttribute("aria-activedescendant", spans[0].id);
    spans[0].setAttribute("aria-selected", "true");
    if (scroll) (spans.findLast((span) => span.firstByte <= state.byte) ?? spans[0]).scrollIntoView({ block: "nearest" });
  }
  describe();
}

// Another view of the same document, at the same byte.
function showView(name) {
  state.view = name;
  for (const button of $("views").children) {
    button.setAttribute("aria-checked", String(button.dataset.view === name));
    button.tabIndex = button.dataset.view === name ? 0 : -1;
  }
  drawCode();
  viewFacts();
  facts();
  select(unitAt(state.document.views[name]?.raw_ends ?? [1], state.byte), true, state.byte);
}

function showDocument(place) {
  state.document = opened(DATA.explorer.documents[place]);
  state.unit = 0;
  state.byte = 0;
  state.held = false;
  $("code").scrollTop = 0;
  const name = state.view;
  state.view = null;
  showView(name);
}

function listDocuments() {
  const wanted = $("language").value;
  const chosen = [...DATA.explorer.documents.entries()].filter(([, entry]) => !wanted || entry.lang === wanted);
  $("document").replaceChildren(
    ...chosen.map(([place, entry]) => Object.assign(element("option", `${entry.path} (${size(entry.bytes)})`), { value: place })),
  );
  const { opens } = DATA.explorer;
  $("document").value = chosen.some(([place]) => place === opens) ? opens : chosen[0][0];
  showDocument(Number($("document").value));
}

// The nearest unit on the line above (-1) or below (1), by where it is drawn.
function vertically(direction) {
  const here = state.spans[state.unit]?.[0];
  if (!here) return state.unit;
  const box = here.getBoundingClientRect();
  let row = here.closest(".row");
  do row = direction < 0 ? row.previousElementSibling : row.nextElementSibling;
  while (row && Number(row.querySelector(".u").dataset.unit) === state.unit);
  if (!row) return state.unit;
  const distance = (span) => Math.abs(span.getBoundingClientRect().left - box.left);
  const nearest = [...row.querySelectorAll(".u")].reduce((best, span) => (distance(span) < distance(best) ? span : best));
  return Number(nearest.dataset.unit);
}

const KEYS = {
  ArrowLeft: () => state.unit - 1,
  ArrowRight: () => state.unit + 1,
  ArrowUp: () => vertically(-1),
  ArrowDown: () => vertically(1),
  Home: () => 0,
  End: () => state.spans.length - 1,
};

function onKey(event) {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  const names = Object.keys(DATA.stats.views);
  if (KEYS[event.key]) {
    state.held = true;
    select(KEYS[event.key](), true);
  } else if (names[Number(event.key) - 1] !== undefined) showView(names[Number(event.key) - 1]);
  else if (event.key === "Escape") state.held = false;
  else return;
  event.preventDefault();
}

function onViewKey(event) {
  const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
  if (!step) return;
  const buttons = [...$("views").children];
  const next = buttons[(buttons.indexOf(event.target) + step + buttons.length) % buttons.length];
  showView(next.dataset.view);
  next.focus();
  event.preventDefault();
}

function start() {
  const { documents, document_bytes } = DATA.explorer;
  const names = Object.keys(DATA.stats.views);
  if (!documents.length || !names.length) {
    $("explorer").hidden = true;
    return;
  }
  const languages = [...new Set(documents.map((entry) => entry.lang))].sort();
  $("language").append(Object.assign(element("option", "all"), { value: "" }));
  $("language").append(...languages.map((name) => element("option", name)));
  for (const name of names) {
    const button = element("button", name);
    Object.assign(button, { type: "button", onclick: () => showView(name), onkeydown: onViewKey });
    button.dataset.view = name;
    button.setAttribute("role", "radio");
    $("views").append(button);
  }
  const all = DATA.stats.documents === documents.length ? "All" : `A sample: ${number(documents.length)} of ${number(DATA.stats.documents)}`;
  $("sampled").textContent = `${all} documents, of each at most ${number(document_bytes)} bytes.`;
  const unitOf = (event) => event.target.closest(".u")?.dataset.unit;
  $("code").addEventListener("mouseover", (event) => {
    if (!state.held && unitOf(event) !== undefined) select(Number(unitOf(event)), false);
  });
  $("code").addEventListener("click", (event) => {
    if (unitOf(event) === undefined) return;
    state.held = true;
    select(Number(unitOf(event)), false);
  });
  $("code").addEventListener("keydown", onKey);
  $("language").addEventListener("change", listDocuments);
  $("document").addEventListener("change", () => showDocument(Number($("document").value)));
  state.view = names[0];
  listDocuments();
}

start();
