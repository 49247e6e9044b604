// Puts the parts in their order, and draws them again when the data set, the metric or the theme changes.

const SECTIONS = [
  ["warnings", warnings],
  ["verdict", verdict],
  ["cost", cost],
  ["map", map],
  ["confusion", confusion],
  ["disagreements", disagreements],
  ["pairs", pairs],
  ["curves", curves],
  ["space", space],
  ["scores", scores],
  ["audits", audits],
  ["datasets", datasets],
  ["provenance", provenance],
];

const state = { dataset: results.datasets[0]?.name, metric: "" };
const main = document.getElementById("main");
const places = new Map();
let generation = 0;

function metricsOf(dataset) {
  const ranked = results.ranking.filter((record) => record.dataset === dataset);
  const scored = results.scores.filter((record) => record.dataset === dataset);
  return [...new Set([...ranked, ...scored].map((record) => record.metric))];
}

function options(select, values, chosen) {
  fill(select, ...values.map((value) => el("option", { value, selected: value === chosen }, value)));
  select.parentElement.hidden = values.length < 2;
}

function drawPart(name, build) {
  const node = places.get(name);
  // Browsers keep some sixteen WebGL contexts, and take the oldest away from whoever has them.
  for (const chart of node.querySelectorAll(".js-plotly-plot")) Plotly.purge(chart);
  // A chart drawn while it is hidden would not know its width.
  node.hidden = false;
  node.hidden = build(node, state) === false;
}

// One part at a time, so that the page answers while the later parts are still being drawn.
async function render() {
  const mine = ++generation;
  document.body.dataset.ready = "";
  for (const [name, build] of SECTIONS) {
    drawPart(name, build);
    await new Promise((resolve) => setTimeout(resolve));
    if (mine !== generation) return;
  }
  contents();
  markPlace();
  document.body.dataset.ready = "yes";
}

// Paper is light, and does not wait.
function drawForPrint() {
  if (document.documentElement.dataset.theme === "light") return;
  generation++;
  setTheme("light");
  for (const [name, build] of SECTIONS) drawPart(name, build);
  document.body.dataset.ready = "yes";
}

function contents() {
  const shown = SECTIONS.filter(([name]) => name !== "warnings" && !places.get(name).hidden);
  fill(
    document.getElementById("contents"),
    el("ol", {}, ...shown.map(([name]) => el("li", {}, el("a", { href: `#${name}` }, t(name))))),
  );
}

// Marks the part that is being read.
function markPlace() {
  const links = [...document.querySelectorAll("#contents a")];
  const above = links.filter(
    (link) => document.querySelector(link.getAttribute("href")).getBoundingClientRect().top < 160,
  );
  const current = above[above.length - 1] || links[0];
  for (const link of links) link.setAttribute("aria-current", String(link === current));
}

function intro() {
  const chips = [
    results.created.replace("T", " ").replace(/(\.\d+)?(Z|\+00:00)$/, " UTC"),
    t("intro.models", { n: results.models.length }),
    t("intro.datasets", { n: results.datasets.length }),
    `umekomi ${results.umekomi}`,
  ];
  return el(
    "div",
    { class: "intro" },
    el("h1", {}, t("title")),
    el("p", { class: "lead" }, t("intro")),
    el("ul", { class: "chips" }, ...chips.map((chip) => el("li", {}, chip))),
  );
}

function chooseDataset(name) {
  state.dataset = name;
  const metrics = metricsOf(name);
  const primary = (results.settings.primary || {})[name];
  if (!metrics.includes(state.metric)) state.metric = metrics.includes(primary) ? primary : metrics[0] || "";
  options(document.getElementById("metric"), metrics, state.metric);
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
}

function start() {
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  setTheme(dark.matches ? "dark" : "light");
  dark.addEventListener("change", () => {
    setTheme(dark.matches ? "dark" : "light");
    render();
  });
  document.getElementById("contents").setAttribute("aria-label", t("contents"));
  main.append(intro());
  for (const [name] of SECTIONS) {
    const node = el("section", { id: name, class: "card", "aria-label": t(name) });
    places.set(name, node);
    main.append(node);
  }
  main.append(el("footer", {}, t("footer", { version: results.umekomi })));
  options(
    document.getElementById("dataset"),
    results.datasets.map((record) => record.name),
    state.dataset,
  );
  chooseDataset(state.dataset);
  document.getElementById("dataset").addEventListener("change", (event) => {
    chooseDataset(event.target.value);
    render();
  });
  document.getElementById("metric").addEventListener("change", (event) => {
    state.metric = event.target.value;
    render();
  });
  document.getElementById("theme").addEventListener("click", () => {
    setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    render();
  });
  window.addEventListener("scroll", markPlace, { passive: true });
  window.addEventListener("beforeprint", drawForPrint);
  render();
}

start();
