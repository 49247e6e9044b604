// Warnings, the verdict and the scores behind it, out of results.json.

const ofDataset = (records, state) => records.filter((record) => record.dataset === state.dataset);
const ofMetric = (records, state) => ofDataset(records, state).filter((record) => record.metric === state.metric);

// ---- what a reader has to know first

function allWarnings() {
  const found = [];
  for (const record of results.datasets) for (const warning of record.warnings) found.push([record.name, warning]);
  for (const audit of results.audits)
    if (audit.warning) found.push([[audit.dataset, audit.model].filter(Boolean).join(" · "), audit.finding]);
  for (const note of results.notes) found.push(["", note]);
  return found;
}

function warnings(node) {
  const found = allWarnings();
  if (!found.length) return false;
  node.className = "warnings";
  fill(
    node,
    el("h2", { class: "hidden" }, t("warnings")),
    ...found.map(([place, text]) => el("p", { class: "warning" }, el("b", {}, place || t("note")), text)),
  );
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
    return t("compare.tied", record) + (known(more) ? t("compare.more", { n: roundedUp.format(more) }) : "");
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
  fill(
    node,
    el("h2", {}, t("verdict")),
    el("p", { class: "verdict" }, verdictSentence(state)),
    el(
      "p",
      { class: "lead" },
      t("verdict.lead", { metric: state.metric, dataset: state.dataset, n: count(scores[0].items) }),
      explanation ? ` ${explanation}` : "",
    ),
    chart,
    rankingTable(scores, ranks),
    notices(scores),
    comparisons(state),
  );
  rankingChart(chart, scores);
  return true;
}

function rankingChart(node, scores) {
  node.style.height = `${70 + 46 * scores.length}px`;
  const traces = scores.map((score, at) => ({
    type: "scatter",
    mode: "markers",
    x: [score.value],
    y: [at],
    hoverinfo: "text",
    text: plain(`${score.model}: ${fixed(score.value)} ${range(score.ci95)}`),
    marker: { size: 13, color: modelColour(score.model), symbol: modelSymbol(score.model) },
    error_x: {
      type: "data",
      symmetric: false,
      thickness: 2.5,
      width: 7,
      color: modelColour(score.model),
      array: [score.ci95[1] - score.value],
      arrayminus: [score.value - score.ci95[0]],
    },
  }));
  draw(node, traces, {
    xaxis: { title: { text: plain(scores[0].metric), font: { size: 12 } }, tickformat: ".3~f", nticks: node.clientWidth < 500 ? 4 : 8 },
    // Places are numbers with names beside them: Plotly would take a name like "768" for a number.
    yaxis: {
      tickvals: scores.map((_, at) => at),
      ticktext: scores.map((score) => plain(short(score.model, LONGEST_NAME))),
      range: [scores.length - 0.5, -0.5],
      showgrid: false,
      zeroline: false,
      ticklen: 8,
      tickcolor: "rgba(0,0,0,0)",
    },
  });
}

function rankingTable(scores, ranks) {
  const columns = [
    [t("rank")],
    [t("model")],
    [t("value"), true],
    [t("interval"), true, t("interval.help")],
    [t("role")],
    [t("dim"), true],
    [t("speed"), true, t("speed.help")],
    [t("memory"), true, t("memory.help")],
  ];
  const rows = scores.map((score) => {
    const model = results.models.find((record) => record.name === score.model) || { cost: {} };
    const rank = ranks.get(score.model);
    const shared = [...ranks.values()].filter((other) => other === rank).length > 1;
    return [
      el(
        "span",
        { class: rank === 1 ? "rank first" : "rank", title: shared ? t("rank.shared") : false },
        known(rank) ? `${rank}${shared ? "=" : ""}` : "–",
      ),
      modelCell(score.model),
      el("b", {}, fixed(score.value)),
      el("span", { class: "interval" }, range(score.ci95)),
      t(`role.${score.role}`) === `role.${score.role}` ? score.role : t(`role.${score.role}`),
      count(model.dim),
      count(model.cost.tokens_per_s),
      size(model.cost.peak_memory_bytes),
    ];
  });
  return table(t("ranking"), columns, rows);
}

// What must be known of a model's weights stands by its score, not only where its fingerprint does.
function notices(scores) {
  const told = results.models.filter((model) => model.notice && scores.some((score) => score.model === model.name));
  return told.length
    ? el("div", {}, ...told.map((model) => el("p", { class: "muted" }, modelCell(model.name), `: ${model.notice}`)))
    : null;
}

function comparisons(state) {
  const found = ofMetric(results.comparisons, state);
  if (!found.length) return null;
  const items = found.map((record) => {
    const kind = record.verdict === "tied" ? "tied" : "good";
    return el(
      "li",
      {},
      el("span", { class: `badge ${kind}` }, t(record.verdict === "tied" ? "badge.tied" : "badge.apart")),
      el("span", {}, comparisonSentence(record)),
      el(
        "span",
        { class: "muted" },
        t("compare.figures", {
          delta: signed(record.delta),
          low: fixed(record.ci95[0]),
          high: fixed(record.ci95[1]),
          p: record.p_adjusted < 0.001 ? "< 0.001" : `= ${fixed(record.p_adjusted)}`,
        }),
      ),
    );
  });
  return el(
    "div",
    {},
    el("h3", {}, t("comparisons")),
    el("p", { class: "muted" }, t("comparisons.lead")),
    el("ul", { class: "sentences" }, ...items),
  );
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
      ...line.map(
        (score) =>
          score &&
          el(
            "span",
            {},
            score.value === best && models.length > 1 ? el("b", {}, fixed(score.value)) : fixed(score.value),
            " ",
            el("span", { class: "interval" }, range(score.ci95)),
          ),
      ),
    ];
  });
  fill(
    node,
    el("h2", {}, t("scores")),
    el("p", { class: "lead" }, t("scores.lead")),
    table(t("scores"), [[t("metric")], ...models.map((model) => [model, true])], rows),
  );
  return true;
}
