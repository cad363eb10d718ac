"use strict";
// Tables and bars: everything on the page but the explorer. Text goes in through textContent alone.
const DATA = JSON.parse(document.getElementById("data").textContent);
const NUMBER = new Intl.NumberFormat("en");

const $ = (id) => document.getElementById(id);
const number = (value) => (value === null || value === undefined ? "–" : NUMBER.format(value));
const counted = (value, name) => `${number(value)} ${name}${value === 1 ? "" : "s"}`;
const fixed = (value, digits) => (value === null || value === undefined ? "–" : value.toFixed(digits));
const share = (part, whole) => (whole ? `${((100 * part) / whole).toFixed(1)} %` : "–");

function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  for (const unit of ["kB", "MB", "GB", "TB"]) {
    bytes /= 1000;
    if (bytes < 999.95 || unit === "TB") return `${bytes.toFixed(1)} ${unit}`;
  }
}

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

// A cell is text, or an element.
function table(heads, rows) {
  const made = element("table");
  const head = made.createTHead().insertRow();
  for (const text of heads) head.append(Object.assign(element("th", text), { scope: "col" }));
  const body = made.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    for (const cell of row) {
      const at = line.insertCell();
      if (cell instanceof Node) at.append(cell);
      else at.textContent = cell;
    }
  }
  return made;
}

function bar(part, most) {
  const made = element("span", undefined, "bar");
  made.style.width = `${(100 * part) / most}%`;
  return made;
}

// A bar behind a number in a table: in a box of one width, so that the numbers stay below each other.
function inlineBar(part, most) {
  const box = element("span", undefined, "inline-bar");
  box.append(bar(part, most));
  return box;
}

// Counts by bit length, as the manifest has them.
function histogram(title, counts) {
  const card = element("div", undefined, "card");
  card.append(element("h3", title));
  const used = [...counts.keys()].filter((bucket) => counts[bucket]);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const most = Math.max(...counts, 1);
  const bars = element("div", undefined, "bars");
  for (let bucket = used[0]; bucket <= used.at(-1); bucket++) {
    const [low, high] = DATA.buckets[bucket];
    bars.append(element("span", low === high ? number(low) : `${number(low)} … ${number(high)}`));
    bars.append(bar(counts[bucket], most), element("span", share(counts[bucket], total)));
  }
  card.append(used.length ? bars : element("p", "none", "note"));
  return card;
}

function overview() {
  const all = DATA.stats;
  document.title = `${DATA.name}: dataset report`;
  $("title").textContent = DATA.name;
  const splits = Object.entries(all.splits).map(([name, split]) => `${name} ${number(split.documents)}`);
  $("summary").textContent = [
    `${counted(all.documents, "document")} (${splits.join(", ") || "none"})`,
    `${size(all.raw_bytes)} raw`,
    `${size(all.disk_bytes.total)} on disk`,
    counted(Object.keys(all.views).length, "view"),
    `vocabulary of ${number(all.ids.size)} ids`,
  ].join(" · ");
  $("foot").textContent = `Dataset format ${all.format_version}. Made by pcdata report.`;
}

function views() {
  const rows = Object.entries(DATA.stats.views).map(([name, view]) => {
    const title = element("span", name);
    const made = Object.entries(view.parameters).map(([key, value]) => `${key}=${value}`);
    title.append(element("small", [view.codec, ...made].join(" ")));
    return [
      title,
      number(view.symbols),
      fixed(view.raw_bytes_per_symbol, 2),
      number(view.units),
      fixed(view.mean_unit_raw_bytes, 1),
      view.units_independent ? "yes" : "no",
      size(DATA.stats.disk_bytes.views[name]),
      view.fitted_on ? size(view.fitted_on.raw_bytes) : "–",
    ];
  });
  const heads = ["view", "symbols", "raw bytes/symbol", "units", "raw bytes/unit", "decode alone", "on disk", "fitted on"];
  $("views-table").append(rows.length ? table(heads, rows) : element("p", "The dataset has no views.", "note"));
  for (const [name, view] of Object.entries(DATA.stats.views)) {
    $("unit-lengths").append(histogram(name, view.unit_raw_bytes_histogram));
  }
  $("units-section").hidden = !rows.length;
}

function languages() {
  const { languages, documents_seen } = DATA.lengths;
  const names = Object.keys(DATA.stats.views);
  const most = Math.max(...languages.map((language) => language.raw_bytes), 1);
  const all = languages.reduce((sum, language) => sum + language.raw_bytes, 0);
  const shown = languages.slice(0, 30);
  const rows = shown.map((language) => {
    const amount = element("span", size(language.raw_bytes));
    amount.append(inlineBar(language.raw_bytes, most));
    const ratios = names.map((name) => fixed(language.raw_bytes / language.symbols[name] || null, 2));
    return [language.name, amount, share(language.raw_bytes, all), ...ratios];
  });
  $("languages-table").append(table(["language", "raw bytes", "share", ...names], rows));
  const sampled = documents_seen < DATA.stats.documents ? ` Counted on ${number(documents_seen)} documents, in blocks spread evenly.` : "";
  const left = languages.length - shown.length;
  $("languages-note").textContent = `Under each view: raw bytes per symbol.${left ? ` The ${left} smallest languages are left out.` : ""}${sampled}`;
  $("document-lengths").append(histogram("raw bytes of a document", DATA.lengths.histogram));
}

function rejects() {
  const rows = Object.entries(DATA.stats.rejects).map(([reason, count]) => [reason, number(count)]);
  $("rejects-table").append(
    rows.length ? table(["reason", "inputs"], rows) : element("p", "No input was refused.", "note"),
  );
}

function probe() {
  const found = DATA.probe;
  $("probe-section").hidden = !found;
  if (!found) return;
  const edits = Object.keys(found.raw_distances);
  const mean = (distances) => {
    const known = Object.values(distances).filter((value) => value !== null);
    return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
  };
  const line = (name, perSymbol, distances, rest) => {
    const value = mean(distances);
    const stability = element("span", fixed(value, 3));
    if (value !== null) stability.append(inlineBar(value, 1));
    return [name, fixed(perSymbol, 2), ...edits.map((edit) => fixed(distances[edit], 3)), stability, ...rest];
  };
  const rows = [line("raw bytes", 1, found.raw_distances, ["–", "–", "–"])];
  for (const [name, figures] of Object.entries(found.compressors)) {
    const { locality, units, vocabulary } = figures;
    const rest = [number(locality.median), share(units.colliding, 1), `${number(vocabulary.used)} of ${number(vocabulary.symbols)}`];
    rows.push(line(name, figures.bytes_per_symbol, figures.distances, rest));
  }
  const unbroken = (name) => name.replaceAll(" %", "\u00a0%").replaceAll("-", "\u2011");
  const heads = ["", "raw bytes/symbol", ...edits.map(unbroken), "mean", "symbols until agreement", "colliding units", "symbols used"];
  $("probe-table").append(table(heads, rows));
  $("probe-note").textContent =
    `How far an edit moves the symbols, on ${counted(found.documents, "document")}: 0 not at all, 1 nothing in common. ` +
    "The closer to the raw bytes the better a proxy. Symbols until agreement: the median behind an inserted line.";
}

function theme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  $("theme").addEventListener("click", () => {
    const now = document.documentElement.dataset.theme || (dark.matches ? "dark" : "light");
    document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
  });
}

overview();
views();
languages();
rejects();
probe();
theme();
