// Which categories a model mistakes for which: the categories of each text's nearest neighbours, counted.

const MOST_CATEGORIES = 40;

// The metric's own k where it has one and the page holds as many neighbours.
function depthOf(view, state) {
  const k = Number((state.metric.match(/precision@(\d+)$/) || [])[1] || 3);
  return Math.min(k, view.k);
}

// For each category, its neighbours' categories with their shares: no table, which thousands of categories would fill.
function confusionOf(view, state) {
  const { label, labels } = texts(view.dataset);
  const near = neighbours(view);
  const k = depthOf(view, state);
  const lines = labels.map(() => new Map());
  const sizes = labels.map(() => 0);
  for (let row = 0; row < label.length; row++) {
    const line = lines[label[row]];
    sizes[label[row]] += k;
    for (let at = 0; at < k; at++) {
      const other = label[near[row * view.k + at]];
      line.set(other, (line.get(other) || 0) + 1);
    }
  }
  for (const [at, line] of lines.entries()) for (const [other, value] of line) line.set(other, value / sizes[at]);
  return lines;
}

function confusion(node, state) {
  const views = viewsOf(state.dataset).filter(
    (view) => view.neighbours && index.datasets[view.dataset].kind === "labels",
  );
  if (!views.length) return false;
  const { labels, label } = texts(state.dataset);
  const sizes = labels.map(() => 0);
  for (const each of label) sizes[each]++;
  const shown = labels
    .map((_, at) => at)
    .sort((a, b) => sizes[b] - sizes[a])
    .slice(0, MOST_CATEGORIES)
    .sort((a, b) => a - b);
  const parts = views.map((view) => {
    const lines = confusionOf(view, state);
    const chart = el("div", { class: "chart", "aria-label": `${t("confusion")}: ${view.model}` });
    return { view, lines, chart };
  });
  fill(
    node,
    el("h2", {}, t("confusion")),
    el("p", { class: "lead" }, t("confusion.lead", { k: depthOf(views[0], state) })),
    shown.length < labels.length
      ? el("p", { class: "muted" }, t("confusion.cut", { shown: shown.length, all: labels.length }))
      : null,
    el(
      "div",
      { class: "columns wide" },
      ...parts.map(({ view, lines, chart }) =>
        el(
          "figure",
          { style: { margin: 0, minWidth: 0 } },
          el("figcaption", {}, el("h3", {}, modelCell(view.model))),
          chart,
          mistakes(lines, labels),
        ),
      ),
    ),
  );
  for (const { lines, chart } of parts) heatMap(chart, lines, labels, shown);
  return true;
}

function mistakes(lines, labels) {
  const pairs = lines.flatMap((line, from) =>
    [...line].filter(([to]) => to !== from).map(([to, value]) => [value, from, to]),
  );
  pairs.sort((a, b) => b[0] - a[0]);
  return el(
    "ul",
    { class: "found" },
    ...pairs
      .slice(0, 3)
      .map(([value, from, to]) =>
        el("li", {}, `${labels[from]} → ${labels[to]} `, el("span", { class: "muted" }, percent(value))),
      ),
  );
}

function heatMap(node, lines, labels, shown) {
  node.style.height = `${Math.max(300, 120 + 30 * shown.length)}px`;
  const share = (from, to) => lines[from].get(to) || 0;
  const z = shown.map((from) => shown.map((to) => share(from, to)));
  // Two categories may be shortened to one name, so the axes count and the names are only written beside them.
  const names = shown.map((at) => plain(short(labels[at], 14)));
  const axis = {
    tickvals: shown.map((_, at) => at),
    ticktext: names,
    showgrid: false,
    zeroline: false,
    tickfont: { size: 11 },
  };
  const hover = shown.map((from) =>
    shown.map((to) => plain(`${labels[from]} → ${labels[to]}: ${percent(share(from, to), 1)}`)),
  );
  draw(
    node,
    [
      {
        type: "heatmap",
        z,
        hovertext: hover,
        hoverinfo: "text",
        zmin: 0,
        zmax: 1,
        xgap: 2,
        ygap: 2,
        showscale: false,
        colorscale: [
          [0, css("--low")],
          [1, css("--high")],
        ],
        text:
          shown.length <= 12
            ? z.map((line) => line.map((value) => (value >= 0.005 ? String(Math.round(100 * value)) : "")))
            : undefined,
        texttemplate: shown.length <= 12 ? "%{text}" : undefined,
      },
    ],
    {
      margin: { l: 8, r: 8, t: 8, b: 8 },
      xaxis: { ...axis, tickangle: -45 },
      yaxis: { ...axis, autorange: "reversed" },
    },
  );
}
