// What a pointer, a key or a word does on the map: the tip, search, lasso, the picked text, the list and its export.

function wire(atlas) {
  const { plane, model, search, tools, exports, shown } = atlas;
  model.addEventListener("change", () =>
    showView(
      atlas,
      atlas.views.find((view) => view.model === model.value),
    ),
  );
  let waiting = 0;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => find(atlas, search.value), 150);
  });
  for (const tool of tools)
    tool.addEventListener("click", () => {
      for (const other of tools) other.setAttribute("aria-pressed", String(other === tool));
      Plotly.relayout(plane, { dragmode: tool.dataset.mode });
    });
  exports.whole.addEventListener("click", () =>
    Plotly.relayout(plane, { "xaxis.autorange": true, "yaxis.autorange": true }),
  );
  exports.clear.addEventListener("click", () => {
    search.value = "";
    shown.query = "";
    choose(atlas, null);
  });
  exports.csv.addEventListener("click", () => exportRows(atlas, "csv"));
  exports.jsonl.addEventListener("click", () => exportRows(atlas, "jsonl"));
  // Plotly gives a plane its events when it first draws in it.
  drawMap(atlas);
  plane.on("plotly_hover", (event) => hover(atlas, event));
  plane.on("plotly_unhover", hideTip);
  plane.on("plotly_click", (event) => {
    const row = rowOf(atlas, event.points[0]);
    if (row !== null) pick(atlas, row);
  });
  // Plotly also tells of a selection when it draws one again on another model's map; only a drag means one.
  let dragged = false;
  plane.on("plotly_selecting", () => {
    dragged = true;
  });
  plane.on("plotly_selected", (event) => {
    if (!dragged || !event || !event.points) return;
    dragged = false;
    choose(atlas, new Set(event.points.map((point) => rowOf(atlas, point)).filter((row) => row !== null)));
  });
}

const rowOf = (atlas, point) => atlas.traces[point.curveNumber]?.rows[point.pointNumber] ?? null;

function hover(atlas, event) {
  const row = rowOf(atlas, event.points[0]);
  if (row === null) return hideTip();
  const held = mapped(atlas.shown.dataset);
  return showTip(
    event.event,
    el("div", {}, swatch(colourOfRow(atlas.shown.dataset)[row]), " ", el("b", {}, held.labels[held.label[row]])),
    el("div", {}, short(held.texts[row], 120)),
  );
}

function find(atlas, query) {
  const wanted = query.normalize("NFKC").toLowerCase().trim();
  atlas.shown.query = query;
  if (!wanted) return choose(atlas, null);
  const found = new Set();
  folded(atlas.shown.dataset).forEach((text, row) => {
    if (text.includes(wanted)) found.add(row);
  });
  return choose(atlas, found);
}

function choose(atlas, rows) {
  atlas.shown.selected = rows;
  if (!rows) atlas.shown.picked = null;
  drawMap(atlas);
  report(atlas);
}

function pick(atlas, row) {
  atlas.shown.picked = row;
  drawMap(atlas);
  report(atlas);
}

// ---- beside the map

function report(atlas) {
  const { shown, side, status, exports } = atlas;
  const chosen = shown.selected;
  exports.csv.disabled = exports.jsonl.disabled = !chosen || !chosen.size;
  exports.clear.disabled = !chosen && shown.picked === null;
  status.textContent = chosen
    ? t("map.selected", { n: count(chosen.size) })
    : t("map.total", { n: count(mapped(shown.dataset).texts.length) });
  fill(
    side,
    shown.picked !== null ? picked(atlas) : null,
    chosen ? listing(atlas) : null,
    shown.picked === null && !chosen ? el("p", { class: "muted" }, t("map.hint")) : null,
  );
}

function picked(atlas) {
  const { shown, view } = atlas;
  const held = mapped(shown.dataset);
  const row = shown.picked;
  const near = nearestOf(view, row);
  return el(
    "div",
    { class: "pick" },
    el("h3", {}, `${held.ids[row]} · `, held.labels[held.label[row]]),
    el("p", { class: "text" }, short(held.texts[row], 400)),
    near.length ? el("h3", {}, t("map.nearest", { model: view.model })) : null,
    el(
      "ol",
      { class: "found" },
      ...near.map((other) =>
        el(
          "li",
          { class: held.label[other] === held.label[row] ? "right" : "wrong" },
          el(
            "button",
            { type: "button", class: "link", onclick: () => pick(atlas, other) },
            short(held.texts[other], 70),
          ),
          el("span", { class: "muted" }, ` ${held.labels[held.label[other]]}`),
        ),
      ),
    ),
  );
}

function listing(atlas) {
  const held = mapped(atlas.shown.dataset);
  const rows = [...atlas.shown.selected];
  return el(
    "div",
    { class: "pick" },
    el("h3", {}, t("map.listed", { n: Math.min(rows.length, LISTED), all: count(rows.length) })),
    el(
      "ul",
      { class: "found" },
      ...rows
        .slice(0, LISTED)
        .map((row) =>
          el(
            "li",
            {},
            el(
              "button",
              { type: "button", class: "link", onclick: () => pick(atlas, row) },
              short(held.texts[row], 70),
            ),
            el("span", { class: "muted" }, ` ${held.labels[held.label[row]]}`),
          ),
        ),
    ),
  );
}

function exportRows(atlas, form) {
  const { shown, view } = atlas;
  const held = mapped(shown.dataset);
  const place = points(view);
  const cut = index.datasets[shown.dataset].cut;
  const rows = [...shown.selected]
    .sort((a, b) => a - b)
    .map((row) => ({
      id: held.ids[row],
      label: held.labels[held.label[row]],
      text: held.texts[row],
      row,
      x: place[2 * row],
      y: place[2 * row + 1],
      ...(cut ? { text_cut_at: cut } : {}),
    }));
  const name = fileName(shown.dataset, view.model, "selection");
  if (form === "jsonl") return download(`${name}.jsonl`, "application/jsonl", jsonLines(rows));
  return download(`${name}.csv`, "text/csv;charset=utf-8", csv(Object.keys(rows[0]), rows.map(Object.values)));
}
