// The map of a data set by a model. What a reader does with it is in selection.js.
// Rows of the data set are what is selected, so a selection stays when another model's map is shown.

const MOST_GROUPS = LABEL_COLOURS.length;
const LISTED = 30;
const WITHOUT_WEBGL = 20000;

const hasWebgl = (() => {
  const context = document.createElement("canvas").getContext("webgl");
  if (context) context.getExtension("WEBGL_lose_context")?.loseContext();
  return Boolean(context);
})();

// The texts of a map's points: those of the categories, or the corpus.
const mapped = once((dataset) => {
  const held = texts(dataset);
  if (index.datasets[dataset].kind === "labels") return held;
  return {
    texts: held.corpus,
    ids: held.corpus_ids,
    labels: [t("map.documents")],
    label: new Int32Array(held.corpus.length),
  };
});

const folded = once((dataset) => mapped(dataset).texts.map((text) => text.normalize("NFKC").toLowerCase()));

// The most frequent categories have a colour each; the others share grey.
const groupsOf = once((dataset) => {
  const { label, labels } = mapped(dataset);
  const rows = labels.map(() => []);
  for (let row = 0; row < label.length; row++) rows[label[row]].push(row);
  const order = labels.map((_, at) => at).sort((a, b) => rows[b].length - rows[a].length || a - b);
  const own = order.length > MOST_GROUPS ? order.slice(0, MOST_GROUPS - 1) : order;
  const groups = own
    .sort((a, b) => a - b)
    .map((at, place) => ({
      name: labels[at],
      rows: Int32Array.from(rows[at]),
      colour: LABEL_COLOURS[place],
      symbol: SYMBOLS[0],
    }));
  if (own.length < order.length) {
    const rest = order.filter((at) => !own.includes(at)).flatMap((at) => rows[at]);
    groups.push({
      name: t("map.others", { n: order.length - own.length }),
      rows: Int32Array.from(rest),
      colour: "#8c94a5",
      symbol: SYMBOLS[0],
    });
  }
  return groups;
});

const colourOfRow = once((dataset) => {
  const colours = new Array(mapped(dataset).texts.length);
  for (const group of groupsOf(dataset)) for (const row of group.rows) colours[row] = group.colour;
  return colours;
});

function map(node, state) {
  const views = viewsOf(state.dataset).filter((view) => view.points);
  if (!views.length) return false;
  const chosen = views.find((view) => view.model === state.mapModel) || views[0];
  state.mapModel = chosen.model;
  const shown =
    state.map && state.map.dataset === state.dataset
      ? state.map
      : { dataset: state.dataset, hidden: new Set(), selected: null, picked: null, query: "" };
  state.map = shown;
  const page = mapPage(views, shown, state);
  fill(
    node,
    el("h2", {}, t("map")),
    el("p", { class: "lead" }, t("map.lead")),
    page.caution,
    page.bar,
    page.legend,
    el("div", { class: "map" }, page.plane, page.side),
    page.bottom,
  );
  const atlas = { ...page, views, shown, state, view: chosen, ranges: null };
  wire(atlas);
  showView(atlas, chosen);
  return true;
}

function mapPage(views, shown, state) {
  const model = el(
    "select",
    { "aria-label": t("model") },
    ...views.map((view) =>
      el("option", { value: view.model, selected: view.model === state.mapModel }, view.model),
    ),
  );
  const search = el("input", {
    type: "search",
    id: "search",
    placeholder: t("map.search"),
    "aria-label": t("map.search"),
    value: shown.query,
  });
  const status = el("span", { class: "muted", role: "status", id: "selected" });
  const tools = ["pan", "lasso", "select"].map((mode) =>
    el("button", { type: "button", "data-mode": mode, "aria-pressed": String(mode === "pan") }, t(`map.${mode}`)),
  );
  const exports = {
    csv: el("button", { type: "button", id: "export-csv" }, "CSV"),
    jsonl: el("button", { type: "button", id: "export-jsonl" }, "JSONL"),
    clear: el("button", { type: "button", class: "quiet" }, t("map.clear")),
    whole: el("button", { type: "button", class: "quiet" }, t("map.whole")),
  };
  return {
    model,
    search,
    status,
    tools,
    exports,
    caution: el("p", { class: "caution" }),
    bar: el("div", { class: "bar" }, el("label", {}, `${t("model")} `, model), search, ...tools, exports.whole),
    legend: el("div", { class: "legend", role: "group", "aria-label": t("map.legend") }),
    plane: el("div", { class: "plane chart", id: "plane", role: "group", "aria-label": t("map") }),
    side: el("aside", { class: "side", "aria-label": t("map.details") }),
    bottom: el(
      "div",
      { class: "bar" },
      status,
      el("span", { class: "grow" }),
      el("span", { class: "muted" }, t("export")),
      exports.csv,
      exports.jsonl,
      exports.clear,
    ),
  };
}

// ---- drawing

const dotSize = (total) => (total < 500 ? 9 : total < 3000 ? 7 : total < 20000 ? 4.5 : 3);

function showView(atlas, view) {
  atlas.view = view;
  atlas.state.mapModel = view.model;
  const { layout } = view;
  fill(
    atlas.caution,
    el("b", {}, t("map.caution")),
    el(
      "span",
      {},
      t("map.trust", {
        method: t(`method.${layout.method}`),
        value: fixed(layout.trustworthiness),
        seed: layout.seed,
      }),
    ),
    layout.trustworthiness !== null && layout.trustworthiness < 0.8 ? el("span", {}, t("map.distrust")) : null,
    hasWebgl ? null : el("span", {}, t("map.nowebgl")),
  );
  legend(atlas);
  drawMap(atlas);
  report(atlas);
}

function drawMap(atlas) {
  const { view, shown, plane } = atlas;
  const place = points(view);
  const groups = groupsOf(shown.dataset);
  const total = place.length / 2;
  const thin = hasWebgl ? 1 : Math.ceil(total / WITHOUT_WEBGL);
  atlas.traces = groups.map((group) => {
    const rows = thin === 1 ? group.rows : group.rows.filter((row) => row % thin === 0);
    const trace = {
      type: hasWebgl ? "scattergl" : "scatter",
      mode: "markers",
      hoverinfo: "none",
      visible: !shown.hidden.has(group.name),
      x: Float32Array.from(rows, (row) => place[2 * row]),
      y: Float32Array.from(rows, (row) => place[2 * row + 1]),
      marker: { color: group.colour, size: dotSize(total), opacity: total > 20000 ? 0.65 : 0.85 },
      selected: { marker: { opacity: 1 } },
      unselected: { marker: { opacity: 0.07 } },
      selectedpoints: shown.selected ? positions(rows, shown.selected) : null,
    };
    return { trace, rows };
  });
  const marks = pickedTrace(atlas);
  const axis = { visible: false, showgrid: false, zeroline: false };
  const mode = atlas.bar.querySelector('[data-mode][aria-pressed="true"]').dataset.mode;
  draw(
    plane,
    [...atlas.traces.map(({ trace }) => trace), marks],
    {
      margin: { l: 0, r: 0, t: 0, b: 0 },
      dragmode: mode,
      hovermode: "closest",
      hoverdistance: 12,
      uirevision: view.model,
      xaxis: axis,
      yaxis: { ...axis, scaleanchor: "x" },
    },
    { scrollZoom: true, doubleClick: false },
  );
  // The outline of a lasso would go on dimming what is outside it.
  if (plane.layout.selections?.length) Plotly.relayout(plane, { selections: [] });
}

const positions = (rows, selected) => {
  const found = [];
  rows.forEach((row, at) => {
    if (selected.has(row)) found.push(at);
  });
  return found;
};

// A ring about the text that was picked, and lines to its nearest by the vectors, which the plane may put elsewhere.
function pickedTrace({ view, shown }) {
  const place = points(view);
  const x = [],
    y = [];
  if (shown.picked !== null) {
    const add = (row) => {
      x.push(place[2 * row]);
      y.push(place[2 * row + 1]);
    };
    const near = nearestOf(view, shown.picked);
    if (!near.length) add(shown.picked);
    for (const row of near) {
      add(shown.picked);
      add(row);
      x.push(null);
      y.push(null);
    }
  }
  return {
    type: hasWebgl ? "scattergl" : "scatter",
    mode: "lines+markers",
    x,
    y,
    hoverinfo: "skip",
    line: { color: css("--ink"), width: 1.5 },
    marker: { symbol: "circle-open", size: 15, color: css("--ink"), line: { width: 2 } },
  };
}

// Only among categories are the neighbours other points of the map.
function nearestOf(view, row) {
  if (!view.neighbours || index.datasets[view.dataset].kind !== "labels") return [];
  return Array.from(neighbours(view).subarray(row * view.k, (row + 1) * view.k));
}

function legend(atlas) {
  const groups = groupsOf(atlas.shown.dataset);
  if (groups.length < 2) return;
  fill(
    atlas.legend,
    ...groups.map((group) =>
      el(
        "button",
        {
          type: "button",
          title: group.name,
          "aria-pressed": String(!atlas.shown.hidden.has(group.name)),
          onclick: () => {
            if (!atlas.shown.hidden.delete(group.name)) atlas.shown.hidden.add(group.name);
            legend(atlas);
            drawMap(atlas);
          },
        },
        swatch(group.colour),
        el("span", { class: "name" }, group.name),
        el("span", { class: "muted" }, count(group.rows.length)),
      ),
    ),
  );
}
