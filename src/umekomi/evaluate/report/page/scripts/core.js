// What every part of the report uses: data, words, elements, numbers, colours, charts, downloads.
// Texts and names come from users. They reach the page as text nodes only; Plotly's own strings go through plain().

const data = (id) => JSON.parse(document.getElementById(id).textContent);
const words = data("words");
const results = data("results");
const index = data("index");

function t(key, values = {}) {
  const text = key in words ? words[key] : key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") node.className = value;
    else if (name === "style") Object.assign(node.style, value);
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function fill(node, ...children) {
  node.replaceChildren(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function array(id, Type) {
  const node = document.getElementById(id);
  const text = atob(node.textContent);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new Type(bytes.buffer);
}

function once(make) {
  const made = new Map();
  return (key) => {
    if (!made.has(key)) made.set(key, make(key));
    return made.get(key);
  };
}

// ---- numbers

const locale = document.documentElement.lang;
const whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
const roundedUp = new Intl.NumberFormat(locale, { maximumSignificantDigits: 2, roundingMode: "ceil" });
const known = (value) => value !== null && value !== undefined && Number.isFinite(value);
const fixed = (value, digits = 3) => (known(value) ? value.toFixed(digits).replace("-", "−") : "–");
const signed = (value) => (value > 0 ? "+" : "") + fixed(value);
const range = (pair) => (pair ? `[${fixed(pair[0])}, ${fixed(pair[1])}]` : "");
const percent = (value, digits = 0) => (known(value) ? `${(100 * value).toFixed(digits)} %` : "–");
const count = (value) => (known(value) ? whole.format(value) : "–");

function size(bytes) {
  if (!known(bytes)) return "–";
  for (const [unit, scale] of [
    ["GB", 1e9],
    ["MB", 1e6],
    ["kB", 1e3],
  ])
    if (bytes >= scale) return `${(bytes / scale).toFixed(bytes >= 100 * scale ? 0 : 1)} ${unit}`;
  return `${bytes} B`;
}

// ---- colours

const MODEL_COLOURS = ["#3a6ee0", "#dc7a12", "#1f9a70", "#c2428c", "#7c62d8", "#a68a0a", "#d2504a", "#2497ba"];
// PNG maps have the same, from pictures.py.
const LABEL_COLOURS = [
  "#3a6ee0",
  "#e5851b",
  "#26a177",
  "#cf4a97",
  "#8463dd",
  "#b39410",
  "#dc4f48",
  "#25a2c6",
  "#94633f",
  "#71941c",
  "#64789c",
  "#e07fc4",
];
const SYMBOLS = ["circle", "diamond", "square", "triangle-up", "cross", "star"];
const modelNames = results.models.map((model) => model.name);
const modelColour = (name) => MODEL_COLOURS[Math.max(0, modelNames.indexOf(name)) % MODEL_COLOURS.length];
const modelSymbol = (name) =>
  SYMBOLS[Math.floor(Math.max(0, modelNames.indexOf(name)) / MODEL_COLOURS.length) % SYMBOLS.length];
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const swatch = (colour) => el("span", { class: "swatch", style: { background: colour }, "aria-hidden": "true" });

// ---- charts

// Plotly reads a few tags in its strings; a name is never meant as one.
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const short = (text, length) => ([...text].length > length ? [...text].slice(0, length - 1).join("") + "…" : text);

const LONGEST_NAME = 40;

const CHART = { displaylogo: false, responsive: true, displayModeBar: false, showEditInChartStudio: false };

function chartLayout(extra = {}) {
  const axis = {
    gridcolor: css("--line"),
    zerolinecolor: css("--line"),
    linecolor: css("--line"),
    automargin: true,
  };
  const { xaxis = {}, yaxis = {}, ...rest } = extra;
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: css("--font"), size: 13, color: css("--ink") },
    margin: { l: 16, r: 24, t: 16, b: 44 },
    hoverlabel: { bgcolor: css("--card"), bordercolor: css("--line"), font: { color: css("--ink") } },
    showlegend: false,
    xaxis: { ...axis, ...xaxis },
    yaxis: { ...axis, ...yaxis },
    ...rest,
  };
}

function draw(node, traces, layout, config = {}) {
  if (!node.hasAttribute("role")) node.setAttribute("role", "img");
  return Plotly.react(node, traces, chartLayout(layout), { ...CHART, ...config });
}

// ---- tables

// columns: [heading, isNumber, explanation?]; cells: text or node.
function table(caption, columns, rows) {
  const head = columns.map(([heading, isNumber, title]) =>
    el("th", { scope: "col", class: isNumber ? "number" : "", title: title || false }, heading),
  );
  const body = rows.map((cells) =>
    el(
      "tr",
      {},
      ...cells.map((cell, at) =>
        el(
          at === 0 ? "th" : "td",
          { scope: at === 0 ? "row" : false, class: columns[at][1] ? "number" : "" },
          cell === null || cell === undefined || cell === "" ? "–" : cell,
        ),
      ),
    ),
  );
  return el(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el(
      "table",
      {},
      el("caption", { class: "hidden" }, caption),
      el("thead", {}, el("tr", {}, ...head)),
      el("tbody", {}, ...body),
    ),
  );
}

const modelCell = (name) => el("span", { class: "model" }, swatch(modelColour(name)), name);

// ---- downloads

function download(name, type, text) {
  const link = el("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

const jsonLines = (rows) => rows.map((row) => JSON.stringify(row) + "\n").join("");

// A spreadsheet would run a cell that starts like a formula, so such a cell gets an apostrophe before it.
function csv(columns, rows) {
  const cell = (value) => {
    const text = String(value ?? "");
    const safe = /^[=+\-@\t\r]/.test(text) ? "'" + text : text;
    return /[",\r\n]/.test(safe) ? '"' + safe.replace(/"/g, '""') + '"' : safe;
  };
  const lines = [columns, ...rows].map((row) => row.map(cell).join(","));
  return "\ufeff" + lines.join("\r\n") + "\r\n";
}

const fileName = (...parts) => parts.join("-").replace(/[^\p{L}\p{N}._-]+/gu, "_");

// ---- the tip beside the pointer

const tip = document.getElementById("tip");

function showTip(event, ...children) {
  fill(tip, ...children);
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const x = Math.min(event.clientX + 16, window.innerWidth - box.width - 12);
  const y =
    event.clientY + 20 + box.height > window.innerHeight ? event.clientY - box.height - 12 : event.clientY + 20;
  tip.style.transform = `translate(${Math.max(8, x)}px, ${Math.max(8, y)}px)`;
}

const hideTip = () => {
  tip.hidden = true;
};

// ---- what the data sets and views hold, read when first asked for

const texts = once((dataset) => {
  const part = index.datasets[dataset];
  const held = data(part.texts);
  if (part.kind === "labels") held.label = array(part.labels, Int32Array);
  return held;
});

const viewsOf = (dataset) => index.views.filter((view) => view.dataset === dataset);
const points = once((view) => array(view.points, Float32Array));
const neighbours = once((view) => array(view.neighbours, Int32Array));
const recordOf = (dataset) => results.datasets.find((record) => record.name === dataset);
