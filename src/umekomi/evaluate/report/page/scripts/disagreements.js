// Texts that one model gets right and another wrong, and their export as hard negatives for training.

const PAGE = 5;

// How well a model does on each item, from 0 to 1: the share of right neighbours, or one over the first right rank.
function credits(view, state) {
  const near = neighbours(view);
  const held = texts(view.dataset);
  if (index.datasets[view.dataset].kind === "labels") {
    const k = depthOf(view, state);
    return Float64Array.from(held.label, (label, row) => {
      let right = 0;
      for (let at = 0; at < k; at++) if (held.label[near[row * view.k + at]] === label) right++;
      return right / k;
    });
  }
  return Float64Array.from(held.relevant, (relevant, row) => {
    for (let at = 0; at < view.k; at++) if (relevant.includes(near[row * view.k + at])) return 1 / (at + 1);
    return 0;
  });
}

// What the page shows of item `row` by a model: its neighbours in order, each right or wrong.
function answers(view, row, state) {
  const held = texts(view.dataset);
  const labels = index.datasets[view.dataset].kind === "labels";
  const k = labels ? depthOf(view, state) : view.k;
  return Array.from(neighbours(view).subarray(row * view.k, row * view.k + k), (other) =>
    labels
      ? {
          row: other,
          text: held.texts[other],
          id: held.ids[other],
          name: held.labels[held.label[other]],
          right: held.label[other] === held.label[row],
        }
      : {
          row: other,
          text: held.corpus[other],
          id: held.corpus_ids[other],
          name: held.corpus_ids[other],
          right: held.relevant[row].includes(other),
        },
  );
}

const question = (dataset, row) => {
  const held = texts(dataset);
  return index.datasets[dataset].kind === "labels"
    ? { text: held.texts[row], id: held.ids[row], name: held.labels[held.label[row]] }
    : { text: held.queries[row], id: held.query_ids[row], name: held.query_ids[row] };
};

function disagreements(node, state) {
  const views = viewsOf(state.dataset).filter((view) => view.neighbours);
  if (views.length < 2) return false;
  const named = (name, other) => views.find((view) => view.model === name) || views.find((view) => view !== other);
  const pair = { a: named(state.a), b: null };
  pair.b = named(state.b === pair.a.model ? null : state.b, pair.a);
  const body = el("div");
  const chooser = (side) =>
    el(
      "select",
      {
        id: `model-${side}`,
        onchange: (event) => {
          const other = side === "a" ? "b" : "a";
          const chosen = views.find((view) => view.model === event.target.value);
          if (pair[other] === chosen) pair[other] = pair[side];
          pair[side] = chosen;
          state[side] = chosen.model;
          state[other] = pair[other].model;
          disagreements(node, state);
        },
      },
      ...views.map((view) => el("option", { value: view.model, selected: view === pair[side] }, view.model)),
    );
  fill(
    node,
    el("h2", {}, t("disagreements")),
    el("p", { class: "lead" }, t("disagreements.lead")),
    el(
      "div",
      { class: "bar" },
      el("label", {}, `${t("disagreements.right")} `, chooser("a")),
      el("label", {}, `${t("disagreements.wrong")} `, chooser("b")),
    ),
    body,
  );
  cases(body, pair, state);
  return true;
}

function cases(node, { a, b }, state) {
  const ours = credits(a, state),
    theirs = credits(b, state);
  const rows = [];
  let worse = 0;
  ours.forEach((credit, row) => {
    if (credit > theirs[row]) rows.push(row);
    else if (credit < theirs[row]) worse++;
  });
  rows.sort((p, q) => ours[q] - theirs[q] - (ours[p] - theirs[p]) || p - q);
  const list = el("div"),
    paging = el("div", { class: "bar paging" });
  const negatives = hardNegatives(rows, a, b, state);
  const cut = index.datasets[state.dataset].cut;
  fill(
    node,
    balance(rows.length, worse, ours.length, a, b),
    el(
      "div",
      { class: "bar" },
      el(
        "button",
        {
          type: "button",
          class: "main",
          id: "export-negatives",
          disabled: !negatives.length,
          onclick: () =>
            download(
              `${fileName(state.dataset, b.model, "hard-negatives")}.jsonl`,
              "application/jsonl",
              jsonLines(negatives),
            ),
        },
        t("disagreements.export", { n: count(negatives.length) }),
      ),
      el("span", { class: "muted" }, t("disagreements.format"), cut ? ` ${t("cut", { n: cut })}` : ""),
    ),
    list,
    paging,
  );
  turn(list, paging, { rows, at: 0, a, b, state });
}

function balance(better, worse, all, a, b) {
  const part = (value, colour) => el("span", { style: { width: `${(100 * value) / all}%`, background: colour } });
  return el(
    "div",
    {},
    el(
      "div",
      { class: "meter", "aria-hidden": "true" },
      part(better, modelColour(a.model)),
      part(all - better - worse, "transparent"),
      part(worse, modelColour(b.model)),
    ),
    el(
      "p",
      { class: "muted", id: "balance" },
      t("disagreements.balance", {
        a: a.model,
        b: b.model,
        better: count(better),
        worse: count(worse),
        same: count(all - better - worse),
      }),
    ),
  );
}

function turn(list, paging, page) {
  const { rows, at, a, b, state } = page;
  fill(list, ...rows.slice(at, at + PAGE).map((row) => oneCase(row, a, b, state)));
  if (!rows.length) fill(list, el("p", { class: "muted" }, t("disagreements.none", { a: a.model, b: b.model })));
  const go = (to) => () => turn(list, paging, { ...page, at: to });
  fill(
    paging,
    ...(rows.length > PAGE
      ? [
          el("button", { type: "button", disabled: at === 0, onclick: go(at - PAGE) }, t("previous")),
          el("span", { class: "muted" }, `${at + 1}–${Math.min(at + PAGE, rows.length)} / ${count(rows.length)}`),
          el("button", { type: "button", disabled: at + PAGE >= rows.length, onclick: go(at + PAGE) }, t("next")),
        ]
      : []),
  );
}

function oneCase(row, a, b, state) {
  const asked = question(state.dataset, row);
  const shown = index.datasets[state.dataset].kind === "labels" ? 5 : 3;
  const side = (view, name) =>
    el(
      "div",
      { class: name, style: { borderColor: modelColour(view.model) } },
      el("h3", { style: { marginTop: 0 } }, modelCell(view.model)),
      el(
        "ol",
        { class: "found" },
        ...answers(view, row, state)
          .slice(0, shown)
          .map((answer) =>
            el(
              "li",
              { class: answer.right ? "right" : "wrong" },
              el("b", {}, answer.name),
              " ",
              short(answer.text, 90),
            ),
          ),
      ),
    );
  return el(
    "article",
    { class: "case" },
    asked.name === asked.id ? null : el("span", { class: "badge" }, asked.name),
    " ",
    el("span", { class: "muted" }, asked.id),
    el("p", { class: "text" }, short(asked.text, 220)),
    el("div", { class: "columns" }, side(a, "side-a"), side(b, "side-b")),
  );
}

// A line for each case with something to learn: what A found and should be found, and what B took for it.
function hardNegatives(rows, a, b, state) {
  const lines = [];
  for (const row of rows) {
    const asked = question(state.dataset, row);
    const positive = answers(a, row, state).find((answer) => answer.right);
    const wrong = answers(b, row, state);
    const until = wrong.findIndex((answer) => answer.right);
    const labels = index.datasets[state.dataset].kind === "labels";
    const negatives = wrong.filter((answer, at) => !answer.right && (labels || until < 0 || at < until));
    if (!positive || !negatives.length) continue;
    const cut = index.datasets[state.dataset].cut;
    lines.push({
      query: asked.text,
      positive: positive.text,
      negatives: negatives.map((answer) => answer.text),
      source: state.dataset,
      query_id: asked.id,
      positive_id: positive.id,
      negative_ids: negatives.map((answer) => answer.id),
      ...(cut ? { text_cut_at: cut } : {}),
    });
  }
  return lines;
}
