// Pairs of texts with a score by people: each model's cosine against it, and the pairs it judges most unlike people.

function ranksOf(values) {
  const order = Array.from(values, (_, at) => at).sort((p, q) => values[p] - values[q]);
  const ranks = new Float64Array(values.length);
  for (let at = 0; at < order.length;) {
    let end = at;
    while (end + 1 < order.length && values[order[end + 1]] === values[order[at]]) end++;
    for (let each = at; each <= end; each++) ranks[order[each]] = (at + end) / 2;
    at = end + 1;
  }
  return ranks;
}

function pairs(node, state) {
  const views = viewsOf(state.dataset).filter((view) => view.cosines);
  if (!views.length) return false;
  const held = texts(state.dataset);
  const parts = views.map((view) => ({
    view,
    cosines: array(view.cosines, Float32Array),
    chart: el("div", { class: "chart", style: { height: "320px" }, "aria-label": `${t("pairs")}: ${view.model}` }),
  }));
  fill(
    node,
    el("h2", {}, t("pairs")),
    el("p", { class: "lead" }, t("pairs.lead")),
    el(
      "div",
      { class: "columns wide" },
      ...parts.map(({ view, cosines, chart }) =>
        el(
          "figure",
          { style: { margin: 0, minWidth: 0 } },
          el("figcaption", {}, el("h3", {}, modelCell(view.model))),
          chart,
          farthest(held, cosines),
        ),
      ),
    ),
  );
  for (const { view, cosines, chart } of parts) pairChart(chart, held, cosines, view);
  return true;
}

function pairChart(node, held, cosines, view) {
  draw(
    node,
    [
      {
        type: hasWebgl && cosines.length > 2000 ? "scattergl" : "scatter",
        mode: "markers",
        x: held.scores,
        y: Array.from(cosines),
        hoverinfo: "none",
        marker: { color: modelColour(view.model), size: 6, opacity: 0.55 },
      },
    ],
    {
      xaxis: { title: { text: t("pairs.people") } },
      yaxis: { title: { text: t("pairs.cosine") } },
      hovermode: "closest",
    },
  );
  node.on("plotly_hover", (event) => {
    const at = event.points[0].pointNumber;
    showTip(
      event.event,
      el("div", {}, short(held.first[at], 90)),
      el("div", {}, short(held.second[at], 90)),
      el(
        "div",
        { class: "muted" },
        `${t("pairs.people")} ${held.scores[at]} · ${t("pairs.cosine")} ${fixed(cosines[at])}`,
      ),
    );
  });
  node.on("plotly_unhover", hideTip);
}

function farthest(held, cosines) {
  const people = ranksOf(held.scores),
    model = ranksOf(cosines);
  const order = Array.from(cosines, (_, at) => at).sort(
    (p, q) => Math.abs(model[q] - people[q]) - Math.abs(model[p] - people[p]),
  );
  return el(
    "div",
    {},
    el("h3", {}, t("pairs.farthest")),
    el(
      "ul",
      { class: "found" },
      ...order
        .slice(0, 5)
        .map((at) =>
          el(
            "li",
            {},
            short(held.first[at], 60),
            el("br"),
            short(held.second[at], 60),
            el("br"),
            el(
              "span",
              { class: "muted" },
              `${t("pairs.people")} ${held.scores[at]} · ${t("pairs.cosine")} ${fixed(cosines[at])}`,
            ),
          ),
        ),
    ),
  );
}
