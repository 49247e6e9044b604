// What quality costs: time, memory, and what is lost with smaller vectors.

const COSTS = {
  tokens_per_s: { key: "speed", read: (model) => model.cost.tokens_per_s, better: "more", format: count },
  texts_per_s: { key: "texts", read: (model) => model.cost.texts_per_s, better: "more", format: count },
  latency_ms: {
    key: "latency",
    read: (model) => model.cost.latency_ms,
    better: "less",
    format: (v) => `${fixed(v, 1)} ms`,
  },
  peak_memory_bytes: { key: "memory", read: (model) => model.cost.peak_memory_bytes, better: "less", format: size },
  bytes_per_vector: { key: "vector", read: (model) => model.cost.bytes_per_vector, better: "less", format: size },
};

function cost(node, state) {
  const byModel = new Map(ofMetric(results.scores, state).map((score) => [score.model, score]));
  const axes = Object.keys(COSTS).filter((name) => results.models.some((model) => known(COSTS[name].read(model))));
  if (!axes.length) return false;
  if (!axes.includes(state.cost)) state.cost = axes[0];
  const chart = el("div", { class: "chart", style: { height: "400px" }, "aria-label": t("cost") });
  const missing = el("p", { class: "muted" });
  const choice = el(
    "select",
    {
      id: "cost-axis",
      onchange: (event) => {
        state.cost = event.target.value;
        costChart(chart, missing, byModel, state);
      },
    },
    ...axes.map((name) => el("option", { value: name, selected: name === state.cost }, t(COSTS[name].key))),
  );
  fill(
    node,
    el("h2", {}, t("cost")),
    el("p", { class: "lead" }, t("cost.lead")),
    el("div", { class: "bar" }, el("label", {}, t("cost.axis"), " ", choice)),
    chart,
    missing,
    table(
      t("cost.table"),
      COST_COLUMNS.map(([key, isNumber]) => [
        t(key),
        isNumber,
        t(`${key}.help`) === `${key}.help` ? "" : t(`${key}.help`),
      ]),
      results.models.map(costRow),
    ),
  );
  costChart(chart, missing, byModel, state);
  return true;
}

const COST_COLUMNS = [
  ["model"],
  ["speed", true],
  ["texts", true],
  ["latency", true],
  ["memory", true],
  ["gpu", true],
  ["vector", true],
  ["warmup", true],
  ["device"],
  ["batch"],
];

function costRow(model) {
  const spent = model.cost;
  return [
    modelCell(model.name),
    count(spent.tokens_per_s),
    count(spent.texts_per_s),
    known(spent.latency_ms) ? `${fixed(spent.latency_ms, 1)} ms` : "–",
    size(spent.peak_memory_bytes),
    size(spent.gpu_memory_bytes),
    size(spent.bytes_per_vector),
    known(spent.warm_up_s) ? `${fixed(spent.warm_up_s, 1)} s` : "–",
    spent.device,
    [spent.batch, spent.note].filter(Boolean).join("; "),
  ];
}

// Models that no other beats in both: the only ones among which a choice is a matter of taste.
function frontier(candidates, better) {
  const order = better === "more" ? (a, b) => b.x - a.x || b.y - a.y : (a, b) => a.x - b.x || b.y - a.y;
  const kept = [];
  for (const each of [...candidates].sort(order))
    if (!kept.length || each.y > kept[kept.length - 1].y) kept.push(each);
  return kept;
}

function costChart(node, missing, byModel, state) {
  const axis = COSTS[state.cost];
  const candidates = results.models
    .filter((model) => byModel.has(model.name) && known(axis.read(model)))
    .map((model) => ({
      model,
      x: axis.read(model),
      y: byModel.get(model.name).value,
      score: byModel.get(model.name),
    }));
  const absent = results.models.filter((model) => !candidates.some((each) => each.model === model));
  missing.textContent = absent.length
    ? t("cost.missing", { models: absent.map((model) => model.name).join(", ") })
    : "";
  const most = Math.max(...results.models.map((model) => model.cost.peak_memory_bytes || 0));
  const front = frontier(candidates, axis.better);
  const logs = candidates.map((each) => Math.log10(each.x));
  // The line leaves a dot to its right, so names stand to its left and need room there.
  const margin = 0.15 + 0.1 * (Math.max(...logs) - Math.min(...logs));
  const name = Math.min(
    0.4,
    (8 * Math.max(0, ...candidates.map((each) => Math.min(LONGEST_NAME, each.model.name.length))) + 40) /
      (node.clientWidth || 900),
  );
  const spread = Math.max(...logs) - Math.min(...logs) + 2 * margin;
  const ends = [Math.min(...logs) - margin - (spread * name) / (1 - name), Math.max(...logs) + margin];
  const ticks = roundNumbers(...ends.map((end) => 10 ** end));
  const traces = [
    {
      type: "scatter",
      mode: "lines",
      x: front.map((each) => each.x),
      y: front.map((each) => each.y),
      hoverinfo: "skip",
      line: { color: css("--soft"), width: 1.5, dash: "dot", shape: axis.better === "more" ? "vh" : "hv" },
    },
  ];
  for (const { model, x, y, score } of candidates) {
    const memory = model.cost.peak_memory_bytes;
    traces.push({
      type: "scatter",
      mode: "markers+text",
      x: [x],
      y: [y],
      text: [`  ${plain(short(model.name, LONGEST_NAME))}  `],
      textposition: "middle left",
      hovertext: plain(`${model.name}: ${fixed(y)} ${range(score.ci95)}, ${axis.format(x)}, ${size(memory)}`),
      hoverinfo: "text",
      cliponaxis: false,
      marker: {
        size: most && memory ? 14 + 30 * Math.sqrt(memory / most) : 16,
        color: modelColour(model.name),
        symbol: modelSymbol(model.name) + (memory ? "" : "-open"),
        opacity: 0.75,
        line: { width: memory ? 1.5 : 2.5, color: memory ? css("--card") : modelColour(model.name) },
      },
      error_y: {
        type: "data",
        symmetric: false,
        thickness: 1.5,
        width: 5,
        color: css("--ink"),
        array: [score.ci95[1] - y],
        arrayminus: [y - score.ci95[0]],
      },
    });
  }
  draw(node, traces, {
    margin: { l: 16, r: 40, t: 34, b: 50 },
    xaxis: {
      type: "log",
      title: { text: `${t(axis.key)} (${t(`cost.${axis.better}`)})` },
      tickvals: ticks,
      ticktext: ticks.map(axis.format),
      range: logs.length ? ends : undefined,
    },
    yaxis: { title: { text: plain(state.metric) }, tickformat: ".3~f" },
  });
}

// 1, 2 and 5 times the powers of ten in a range, or the powers alone where those were too many.
function roundNumbers(low, high) {
  if (!known(low) || !known(high)) return [];
  const found = [];
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++)
    for (const digit of [1, 2, 5]) found.push(digit * 10 ** power);
  const within = found.filter((value) => value >= low && value <= high);
  return within.length > 9
    ? within.filter((value) => Number.isInteger(Math.round(1e6 * Math.log10(value)) / 1e6))
    : within;
}

// ---- curves

function curves(node, state) {
  const found = ofDataset(results.curves, state);
  if (!found.length) return false;
  const metrics = [...new Set(found.map((point) => point.metric))];
  const metric = metrics.includes(state.metric) ? state.metric : metrics[0];
  const charts = ["dimensions", "precision"]
    .map((curve) => [curve, found.filter((point) => point.curve === curve && point.metric === metric)])
    .filter(([, some]) => some.length);
  const parts = charts.map(([curve, some]) => {
    const chart = el("div", { class: "chart", style: { height: "340px" }, "aria-label": t(`curves.${curve}`) });
    return [chart, curve, some];
  });
  fill(
    node,
    el("h2", {}, t("curves")),
    el("p", { class: "lead" }, t("curves.lead", { metric })),
    el(
      "p",
      { class: "bar" },
      ...modelNames.filter((name) => found.some((point) => point.model === name)).map(modelCell),
    ),
    el(
      "div",
      { class: "columns" },
      ...parts.map(([chart, curve]) =>
        el("figure", { style: { margin: 0 } }, el("figcaption", {}, el("h3", {}, t(`curves.${curve}`))), chart),
      ),
    ),
    el("details", {}, el("summary", {}, t("figures")), curveTable(found)),
  );
  for (const [chart, , some] of parts) curveChart(chart, some);
  return true;
}

// Variants stand side by side, the smallest first: two of one size would fall on one place of an axis of sizes.
function curveChart(node, some) {
  const order = [...some].sort(
    (a, b) => a.bytes_per_vector - b.bytes_per_vector || a.variant.length - b.variant.length,
  );
  const places = [...new Map(order.map((point) => [point.variant, point])).values()];
  const placeOf = (point) => places.findIndex((place) => place.variant === point.variant);
  const oneSize = (place) =>
    some.every((point) => point.variant !== place.variant || point.bytes_per_vector === place.bytes_per_vector);
  const traces = [...new Set(some.map((point) => point.model))].map((model) => {
    const line = some.filter((point) => point.model === model).sort((a, b) => placeOf(a) - placeOf(b));
    const bounded = line.every((point) => point.ci95);
    return {
      type: "scatter",
      mode: "lines+markers",
      x: line.map(placeOf),
      y: line.map((point) => point.value),
      hovertext: line.map((point) =>
        plain(
          `${model} · ${point.variant}, ${size(point.bytes_per_vector)}: ${fixed(point.value)} ${range(point.ci95)}`,
        ),
      ),
      hoverinfo: "text",
      line: { color: modelColour(model), width: 2 },
      marker: { size: 8, color: modelColour(model), symbol: modelSymbol(model) },
      error_y: bounded
        ? {
            type: "data",
            symmetric: false,
            thickness: 1,
            width: 3,
            color: modelColour(model),
            array: line.map((point) => point.ci95[1] - point.value),
            arrayminus: line.map((point) => point.value - point.ci95[0]),
          }
        : undefined,
    };
  });
  draw(node, traces, {
    margin: { l: 16, r: 24, t: 12, b: 60 },
    xaxis: {
      tickvals: places.map((_, at) => at),
      range: [-0.3, places.length - 0.7],
      showgrid: false,
      zeroline: false,
      ticktext: places.map(
        (place) => plain(place.variant) + (oneSize(place) ? `<br>${size(place.bytes_per_vector)}` : ""),
      ),
    },
    yaxis: { tickformat: ".3~f", title: { text: plain(some[0].metric) } },
  });
}

const curveTable = (found) =>
  table(
    t("curves"),
    [[t("model")], [t("metric")], [t("variant")], [t("vector"), true], [t("value"), true], [t("interval"), true]],
    found.map((point) => [
      modelCell(point.model),
      point.metric,
      point.variant,
      size(point.bytes_per_vector),
      fixed(point.value),
      range(point.ci95),
    ]),
  );
