// Warnings, the verdict, costs, curves, shapes of the space, audits, and what was run: everything out of results.json.

const ofDataset = (records, state) => records.filter((record) => record.dataset === state.dataset);
const ofMetric = (records, state) => ofDataset(records, state).filter((record) => record.metric === state.metric);

// ---- what a reader has to know first

function allWarnings() {
  const found = [];
  for (const record of results.datasets)
    for (const warning of record.warnings) found.push([record.name, warning]);
  for (const audit of results.audits)
    if (audit.warning) found.push([[audit.dataset, audit.model].filter(Boolean).join(" · "), audit.finding]);
  for (const note of results.notes) found.push(["", note]);
  return found;
}

function warnings(node) {
  const found = allWarnings();
  if (!found.length) return false;
  node.className = "warnings";
  fill(node, el("h2", { class: "hidden" }, t("warnings")),
    ...found.map(([place, text]) => el("p", { class: "warning" }, el("b", {}, place || t("note")), text)));
  return true;
}

// ---- the verdict

function metricName(metric) {
  const [stem, k] = metric.split("@");
  const key = `metric.${stem}`;
  return key in words ? t(key, { k: k || "" }) : "";
}

function verdictSentence(state) {
  const ranking = ofMetric(results.ranking, state);
  const first = ranking.filter((record) => record.rank === 1).map((record) => record.model);
  const list = new Intl.ListFormat(locale, { type: "conjunction" }).format(first);
  if (!ranking.length) return t("verdict.none");
  if (ranking.length === 1) return t("verdict.alone", { model: first[0] });
  if (first.length === 1) return t("verdict.first", { model: first[0] });
  return t(first.length === ranking.length ? "verdict.all" : "verdict.shared", { models: list });
}

// The sentence of results.json is English; in other languages it is put together from the same figures.
function comparisonSentence(record) {
  if (locale === "en") return record.sentence;
  if (record.verdict === "tied") {
    const more = record.items_to_separate;
    return t("compare.tied", record) + (known(more) ? t("compare.more", { n: count(more) }) : "");
  }
  const [a, b] = record.verdict === "better" ? [record.a, record.b] : [record.b, record.a];
  const [low, high] = record.verdict === "better" ? record.ci95 : [-record.ci95[1], -record.ci95[0]];
  return t("compare.better", { a, b, delta: fixed(Math.abs(record.delta)), low: fixed(low), high: fixed(high) });
}

function verdict(node, state) {
  const scores = ofMetric(results.scores, state);
  if (!scores.length) return false;
  const ranks = new Map(ofMetric(results.ranking, state).map((record) => [record.model, record.rank]));
  scores.sort((a, b) => (ranks.get(a.model) || 99) - (ranks.get(b.model) || 99) || b.value - a.value);
  const chart = el("div", { class: "chart", "aria-label": t("ranking.chart", { metric: state.metric }) });
  const explanation = metricName(state.metric);
  fill(node,
    el("h2", {}, t("verdict")),
    el("p", { class: "verdict" }, verdictSentence(state)),
    el("p", { class: "lead" },
      t("verdict.lead", { metric: state.metric, dataset: state.dataset, n: count(scores[0].items) }),
      explanation ? ` ${explanation}` : ""),
    chart, rankingTable(scores, ranks), notices(scores), comparisons(state));
  rankingChart(chart, scores);
  return true;
}

function rankingChart(node, scores) {
  node.style.height = `${70 + 46 * scores.length}px`;
  const traces = scores.map((score) => ({
    type: "scatter", mode: "markers", x: [score.value], y: [plain(score.model)], hoverinfo: "text",
    text: plain(`${score.model}: ${fixed(score.value)} ${range(score.ci95)}`),
    marker: { size: 13, color: modelColour(score.model), symbol: modelSymbol(score.model) },
    error_x: {
      type: "data", symmetric: false, thickness: 2.5, width: 7, color: modelColour(score.model),
      array: [score.ci95[1] - score.value], arrayminus: [score.value - score.ci95[0]],
    },
  }));
  draw(node, traces, {
    xaxis: { title: { text: plain(scores[0].metric), font: { size: 12 } }, tickformat: ".3~f", nticks: 8 },
    yaxis: { autorange: "reversed", showgrid: false, ticklen: 8, tickcolor: "rgba(0,0,0,0)" },
  });
}

function rankingTable(scores, ranks) {
  const columns = [
    [t("rank")], [t("model")], [t("value"), true], [t("interval"), true, t("interval.help")], [t("role")],
    [t("dim"), true], [t("speed"), true, t("speed.help")], [t("memory"), true, t("memory.help")],
  ];
  const rows = scores.map((score) => {
    const model = results.models.find((record) => record.name === score.model) || { cost: {} };
    const rank = ranks.get(score.model);
    const shared = [...ranks.values()].filter((other) => other === rank).length > 1;
    return [
      el("span", { class: rank === 1 ? "rank first" : "rank", title: shared ? t("rank.shared") : false },
        known(rank) ? `${rank}${shared ? "=" : ""}` : "–"),
      modelCell(score.model), el("b", {}, fixed(score.value)), el("span", { class: "interval" }, range(score.ci95)),
      t(`role.${score.role}`) === `role.${score.role}` ? score.role : t(`role.${score.role}`),
      count(model.dim), count(model.cost.tokens_per_s), size(model.cost.peak_memory_bytes),
    ];
  });
  return table(t("ranking"), columns, rows);
}

// What must be known of a model's weights stands by its score, not only where its fingerprint does.
function notices(scores) {
  const told = results.models.filter((model) => model.notice && scores.some((score) => score.model === model.name));
  return told.length ? el("div", {}, ...told.map((model) => el("p", { class: "muted" }, modelCell(model.name), `: ${model.notice}`))) : null;
}

function comparisons(state) {
  const found = ofMetric(results.comparisons, state);
  if (!found.length) return null;
  const items = found.map((record) => {
    const kind = record.verdict === "tied" ? "tied" : "good";
    return el("li", {},
      el("span", { class: `badge ${kind}` }, t(record.verdict === "tied" ? "badge.tied" : "badge.apart")),
      el("span", {}, comparisonSentence(record)),
      el("span", { class: "muted" }, t("compare.figures", {
        delta: signed(record.delta), low: fixed(record.ci95[0]), high: fixed(record.ci95[1]), p: record.p_adjusted < 0.001 ? "< 0.001" : `= ${fixed(record.p_adjusted)}`,
      })));
  });
  return el("div", {}, el("h3", {}, t("comparisons")), el("p", { class: "muted" }, t("comparisons.lead")),
    el("ul", { class: "sentences" }, ...items));
}

// ---- all scores

function scores(node, state) {
  const found = ofDataset(results.scores, state);
  const metrics = [...new Set(found.map((score) => score.metric))];
  if (metrics.length < 2) return false;
  const models = modelNames.filter((name) => found.some((score) => score.model === name));
  const rows = metrics.map((metric) => {
    const line = models.map((model) => found.find((score) => score.metric === metric && score.model === model));
    const best = Math.max(...line.map((score) => (score ? score.value : -Infinity)));
    return [
      el("span", { title: metricName(metric) || false }, metric),
      ...line.map((score) => score && el("span", {},
        score.value === best && models.length > 1 ? el("b", {}, fixed(score.value)) : fixed(score.value),
        " ", el("span", { class: "interval" }, range(score.ci95)))),
    ];
  });
  fill(node, el("h2", {}, t("scores")), el("p", { class: "lead" }, t("scores.lead")),
    table(t("scores"), [[t("metric")], ...models.map((model) => [model, true])], rows));
  return true;
}

// ---- quality against cost

const COSTS = {
  tokens_per_s: { key: "speed", read: (model) => model.cost.tokens_per_s, better: "more", format: count },
  texts_per_s: { key: "texts", read: (model) => model.cost.texts_per_s, better: "more", format: count },
  latency_ms: { key: "latency", read: (model) => model.cost.latency_ms, better: "less", format: (v) => `${fixed(v, 1)} ms` },
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
  const choice = el("select", { id: "cost-axis", onchange: (event) => {
    state.cost = event.target.value;
    costChart(chart, missing, byModel, state);
  } }, ...axes.map((name) => el("option", { value: name, selected: name === state.cost }, t(COSTS[name].key))));
  fill(node, el("h2", {}, t("cost")), el("p", { class: "lead" }, t("cost.lead")),
    el("div", { class: "bar" }, el("label", {}, t("cost.axis"), " ", choice)), chart, missing,
    table(t("cost.table"), COST_COLUMNS.map(([key, isNumber]) => [t(key), isNumber, t(`${key}.help`) === `${key}.help` ? "" : t(`${key}.help`)]),
      results.models.map(costRow)));
  costChart(chart, missing, byModel, state);
  return true;
}

const COST_COLUMNS = [
  ["model"], ["speed", true], ["texts", true], ["latency", true], ["memory", true], ["gpu", true], ["vector", true], ["warmup", true], ["device"], ["batch"],
];

function costRow(model) {
  const spent = model.cost;
  return [
    modelCell(model.name), count(spent.tokens_per_s), count(spent.texts_per_s), known(spent.latency_ms) ? `${fixed(spent.latency_ms, 1)} ms` : "–",
    size(spent.peak_memory_bytes), size(spent.gpu_memory_bytes), size(spent.bytes_per_vector),
    known(spent.warm_up_s) ? `${fixed(spent.warm_up_s, 1)} s` : "–", spent.device,
    [spent.batch, spent.note].filter(Boolean).join("; "),
  ];
}

// Models that no other beats in both: the only ones among which a choice is a matter of taste.
function frontier(candidates, better) {
  const order = better === "more" ? (a, b) => b.x - a.x || b.y - a.y : (a, b) => a.x - b.x || b.y - a.y;
  const kept = [];
  for (const each of [...candidates].sort(order)) if (!kept.length || each.y > kept[kept.length - 1].y) kept.push(each);
  return kept;
}

function costChart(node, missing, byModel, state) {
  const axis = COSTS[state.cost];
  const candidates = results.models
    .filter((model) => byModel.has(model.name) && known(axis.read(model)))
    .map((model) => ({ model, x: axis.read(model), y: byModel.get(model.name).value, score: byModel.get(model.name) }));
  const absent = results.models.filter((model) => !candidates.some((each) => each.model === model));
  missing.textContent = absent.length ? t("cost.missing", { models: absent.map((model) => model.name).join(", ") }) : "";
  const most = Math.max(...results.models.map((model) => model.cost.peak_memory_bytes || 0));
  const front = frontier(candidates, axis.better);
  const logs = candidates.map((each) => Math.log10(each.x));
  // The line leaves a dot to its right, so names stand to its left and need room there.
  const margin = 0.15 + 0.1 * (Math.max(...logs) - Math.min(...logs));
  const name = Math.min(0.4, (8 * Math.max(0, ...candidates.map((each) => each.model.name.length)) + 40) / (node.clientWidth || 900));
  const spread = Math.max(...logs) - Math.min(...logs) + 2 * margin;
  const ends = [Math.min(...logs) - margin - (spread * name) / (1 - name), Math.max(...logs) + margin];
  const ticks = roundNumbers(...ends.map((end) => 10 ** end));
  const traces = [{
    type: "scatter", mode: "lines", x: front.map((each) => each.x), y: front.map((each) => each.y), hoverinfo: "skip",
    line: { color: css("--soft"), width: 1.5, dash: "dot", shape: axis.better === "more" ? "vh" : "hv" },
  }];
  for (const { model, x, y, score } of candidates) {
    const memory = model.cost.peak_memory_bytes;
    traces.push({
      type: "scatter", mode: "markers+text", x: [x], y: [y], text: [`  ${plain(model.name)}  `],
      textposition: "middle left",
      hovertext: plain(`${model.name}: ${fixed(y)} ${range(score.ci95)}, ${axis.format(x)}, ${size(memory)}`), hoverinfo: "text",
      cliponaxis: false,
      marker: {
        size: most && memory ? 14 + 30 * Math.sqrt(memory / most) : 16, color: modelColour(model.name),
        symbol: modelSymbol(model.name) + (memory ? "" : "-open"), opacity: 0.75, line: { width: memory ? 1.5 : 2.5, color: memory ? css("--card") : modelColour(model.name) },
      },
      error_y: {
        type: "data", symmetric: false, thickness: 1.5, width: 5, color: css("--ink"),
        array: [score.ci95[1] - y], arrayminus: [y - score.ci95[0]],
      },
    });
  }
  draw(node, traces, {
    margin: { l: 16, r: 40, t: 34, b: 50 },
    xaxis: {
      type: "log", title: { text: `${t(axis.key)} (${t(`cost.${axis.better}`)})` }, tickvals: ticks, ticktext: ticks.map(axis.format),
      range: logs.length ? ends : undefined,
    },
    yaxis: { title: { text: plain(state.metric) }, tickformat: ".3~f" },
  });
}

// 1, 2 and 5 times the powers of ten in a range, or the powers alone where those were too many.
function roundNumbers(low, high) {
  if (!known(low) || !known(high)) return [];
  const found = [];
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++) for (const digit of [1, 2, 5]) found.push(digit * 10 ** power);
  const within = found.filter((value) => value >= low && value <= high);
  return within.length > 9 ? within.filter((value) => Number.isInteger(Math.round(1e6 * Math.log10(value)) / 1e6)) : within;
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
  fill(node, el("h2", {}, t("curves")), el("p", { class: "lead" }, t("curves.lead", { metric })),
    el("p", { class: "bar" }, ...modelNames.filter((name) => found.some((point) => point.model === name)).map(modelCell)),
    el("div", { class: "columns" }, ...parts.map(([chart, curve]) => el("figure", { style: { margin: 0 } },
      el("figcaption", {}, el("h3", {}, t(`curves.${curve}`))), chart))),
    el("details", {}, el("summary", {}, t("figures")), curveTable(found)));
  for (const [chart, , some] of parts) curveChart(chart, some);
  return true;
}

// Variants stand side by side, the smallest first: two of one size would fall on one place of an axis of sizes.
function curveChart(node, some) {
  const order = [...some].sort((a, b) => a.bytes_per_vector - b.bytes_per_vector || a.variant.length - b.variant.length);
  const places = [...new Map(order.map((point) => [point.variant, point])).values()];
  const placeOf = (point) => places.findIndex((place) => place.variant === point.variant);
  const oneSize = (place) => some.every((point) => point.variant !== place.variant || point.bytes_per_vector === place.bytes_per_vector);
  const traces = [...new Set(some.map((point) => point.model))].map((model) => {
    const line = some.filter((point) => point.model === model).sort((a, b) => placeOf(a) - placeOf(b));
    const bounded = line.every((point) => point.ci95);
    return {
      type: "scatter", mode: "lines+markers", x: line.map(placeOf), y: line.map((point) => point.value),
      hovertext: line.map((point) => plain(`${model} · ${point.variant}, ${size(point.bytes_per_vector)}: ${fixed(point.value)} ${range(point.ci95)}`)), hoverinfo: "text",
      line: { color: modelColour(model), width: 2 },
      marker: { size: 8, color: modelColour(model), symbol: modelSymbol(model) },
      error_y: bounded ? {
        type: "data", symmetric: false, thickness: 1, width: 3, color: modelColour(model),
        array: line.map((point) => point.ci95[1] - point.value), arrayminus: line.map((point) => point.value - point.ci95[0]),
      } : undefined,
    };
  });
  draw(node, traces, {
    margin: { l: 16, r: 24, t: 12, b: 60 },
    xaxis: {
      tickvals: places.map((_, at) => at), range: [-0.3, places.length - 0.7], showgrid: false, zeroline: false,
      ticktext: places.map((place) => plain(place.variant) + (oneSize(place) ? `<br>${size(place.bytes_per_vector)}` : "")),
    },
    yaxis: { tickformat: ".3~f", title: { text: plain(some[0].metric) } },
  });
}

const curveTable = (found) => table(t("curves"),
  [[t("model")], [t("metric")], [t("variant")], [t("vector"), true], [t("value"), true], [t("interval"), true]],
  found.map((point) => [modelCell(point.model), point.metric, point.variant, size(point.bytes_per_vector), fixed(point.value), range(point.ci95)]));

// ---- the shape of the space

function space(node, state) {
  const found = ofDataset(results.space, state);
  if (!found.length) return false;
  const models = modelNames.filter((name) => found.some((record) => record.model === name));
  const names = [...new Set(found.map((record) => record.name))];
  const rows = names.map((name) => {
    const cells = models.map((model) => {
      const record = found.find((each) => each.name === name && each.model === model);
      return record && (/share|component/.test(name) ? percent(record.value, 1) : Number.isInteger(record.value) ? count(record.value) : fixed(record.value));
    });
    const key = `space.${name}`;
    return [el("span", {}, key in words ? t(key) : name, key in words ? el("span", { class: "muted" }, ` ${name}`) : ""), ...cells];
  });
  fill(node, el("h2", {}, t("space")), el("p", { class: "lead" }, t("space.lead")),
    table(t("space"), [[t("figure")], ...models.map((model) => [model, true])], rows));
  return true;
}

// ---- audits, data sets, provenance

function audits(node) {
  if (!results.audits.length) return false;
  fill(node, el("h2", {}, t("audits")), el("p", { class: "lead" }, t("audits.lead")),
    ...results.audits.map((audit) => el("div", { class: "case" },
      el("span", { class: audit.warning ? "badge bad" : "badge good" }, t(audit.warning ? "audit.warning" : "audit.fine")), " ",
      el("b", {}, audit.audit), " ", el("span", { class: "muted" }, [audit.dataset, audit.model].filter(Boolean).join(" · ")),
      el("p", { class: "text" }, audit.finding),
      Object.keys(audit.details).length
        ? el("details", {}, el("summary", {}, t("figures")), facts(Object.entries(audit.details))) : null)));
  return true;
}

function written(value) {
  if (Array.isArray(value)) return value.map(written).join(", ");
  if (value === null || typeof value !== "object") return String(value);
  return Object.entries(value).map(([name, each]) => `${name} ${written(each)}`).join(", ");
}

const facts = (pairs) => el("dl", { class: "facts" },
  ...pairs.filter(([, value]) => value !== "" && value !== null && value !== undefined)
    .flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value instanceof Node ? value : written(value))]));

function datasets(node) {
  const cards = results.datasets.map((record) => el("div", { class: "case" },
    el("h3", { style: { marginTop: 0 } }, record.name),
    facts([
      [t("data.kind"), t(`kind.${record.kind}`)],
      [t("data.items"), `${count(record.items)} (${t("data.texts", { n: count(record.texts) })})`],
      [t("data.source"), record.source], [t("data.licence"), record.licence || t("unstated")], [t("data.language"), record.language],
      [t("data.preparation"), record.preparation.join(" → ")],
      [t("data.columns"), Object.entries(record.columns).map(([role, column]) =>
        `${role}: ${column}${record.guessed.includes(role) || record.guessed.includes(column) ? ` (${t("guessed")})` : ""}`).join(", ")],
      [t("data.skipped"), Object.entries(record.skipped).map(([reason, rows]) => `${reason}: ${count(rows)}`).join(", ") || t("none")],
      [t("data.grouped"), record.grouped ? t("yes") : t("no")],
      [t("data.digest"), el("code", {}, record.digest)],
    ])));
  fill(node, el("h2", {}, t("datasets")), el("p", { class: "lead" }, t("datasets.lead")), ...cards);
  return true;
}

function provenance(node) {
  const models = results.models.map((model) => el("div", { class: "case" },
    el("h3", { style: { marginTop: 0 } }, modelCell(model.name)),
    facts([
      [t("model.fingerprint"), el("code", {}, model.fingerprint)], [t("dim"), count(model.dim)], [t("model.precision"), model.precision],
      [t("model.tokens"), known(model.max_tokens) ? count(model.max_tokens) : ""], [t("model.endpoint"), model.endpoint],
      [t("model.prompts"), Object.entries(model.prompts).map(([role, prompt]) => `${role}: “${prompt}”`).join(", ")],
      [t("data.licence"), model.licence || t("unstated")], [t("model.notice"), model.notice],
    ])));
  fill(node, el("h2", {}, t("provenance")), el("p", { class: "lead" }, t("provenance.lead")),
    facts([["umekomi", results.umekomi], [t("created"), results.created], ["schema", results.schema]]),
    el("h3", {}, t("machine")), facts(Object.entries(results.machine)),
    el("h3", {}, t("settings")), facts(Object.entries(results.settings)),
    el("h3", {}, t("models")), ...models,
    el("button", { type: "button", onclick: () => download("results.json", "application/json", JSON.stringify(results, null, 1)) },
      t("download.results")));
  return true;
}
