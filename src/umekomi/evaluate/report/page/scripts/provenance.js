// The shape of the vectors, the audits, what was measured on, and what is needed to run it again.

function space(node, state) {
  const found = ofDataset(results.space, state);
  if (!found.length) return false;
  const models = modelNames.filter((name) => found.some((record) => record.model === name));
  const names = [...new Set(found.map((record) => record.name))];
  const rows = names.map((name) => {
    const cells = models.map((model) => {
      const record = found.find((each) => each.name === name && each.model === model);
      return (
        record &&
        (/share|component/.test(name)
          ? percent(record.value, 1)
          : Number.isInteger(record.value)
            ? count(record.value)
            : fixed(record.value))
      );
    });
    const key = `space.${name}`;
    return [
      el("span", {}, key in words ? t(key) : name, key in words ? el("span", { class: "muted" }, ` ${name}`) : ""),
      ...cells,
    ];
  });
  fill(
    node,
    el("h2", {}, t("space")),
    el("p", { class: "lead" }, t("space.lead")),
    table(t("space"), [[t("figure")], ...models.map((model) => [model, true])], rows),
  );
  return true;
}

// ---- audits, data sets, provenance

function audits(node) {
  if (!results.audits.length) return false;
  fill(
    node,
    el("h2", {}, t("audits")),
    el("p", { class: "lead" }, t("audits.lead")),
    ...results.audits.map((audit) =>
      el(
        "div",
        { class: "case" },
        el(
          "span",
          { class: audit.warning ? "badge bad" : "badge" },
          t(audit.warning ? "audit.warning" : "audit.fine"),
        ),
        " ",
        el("b", {}, audit.audit),
        " ",
        el("span", { class: "muted" }, [audit.dataset, audit.model].filter(Boolean).join(" · ")),
        el("p", { class: "text" }, audit.finding),
        Object.keys(audit.details).length
          ? el("details", {}, el("summary", {}, t("figures")), facts(Object.entries(audit.details)))
          : null,
      ),
    ),
  );
  return true;
}

function written(value) {
  if (Array.isArray(value)) return value.map(written).join(", ");
  if (value === null || typeof value !== "object") return String(value);
  return Object.entries(value)
    .map(([name, each]) => `${name} ${written(each)}`)
    .join(", ");
}

const facts = (pairs) =>
  el(
    "dl",
    { class: "facts" },
    ...pairs
      .filter(([, value]) => value !== "" && value !== null && value !== undefined)
      .flatMap(([name, value]) => [
        el("dt", {}, name),
        el("dd", {}, value instanceof Node ? value : written(value)),
      ]),
  );

function datasets(node) {
  const cards = results.datasets.map((record) =>
    el(
      "div",
      { class: "case" },
      el("h3", { style: { marginTop: 0 } }, record.name),
      facts([
        [t("data.kind"), t(`kind.${record.kind}`)],
        [t("data.items"), `${count(record.items)} (${t("data.texts", { n: count(record.texts) })})`],
        [t("data.source"), record.source],
        [t("data.licence"), record.licence || t("unstated")],
        [t("data.language"), record.language],
        [t("data.preparation"), record.preparation.join(" → ")],
        [
          t("data.columns"),
          Object.entries(record.columns)
            .map(
              ([role, column]) =>
                `${role}: ${column}${record.guessed.includes(role) || record.guessed.includes(column) ? ` (${t("guessed")})` : ""}`,
            )
            .join(", "),
        ],
        [
          t("data.skipped"),
          Object.entries(record.skipped)
            .map(([reason, rows]) => `${reason}: ${count(rows)}`)
            .join(", ") || t("none"),
        ],
        [t("data.grouped"), record.grouped ? t("yes") : t("no")],
        [t("data.digest"), el("code", {}, record.digest)],
      ]),
    ),
  );
  fill(node, el("h2", {}, t("datasets")), el("p", { class: "lead" }, t("datasets.lead")), ...cards);
  return true;
}

function provenance(node) {
  const models = results.models.map((model) =>
    el(
      "div",
      { class: "case" },
      el("h3", { style: { marginTop: 0 } }, modelCell(model.name)),
      facts([
        [t("model.fingerprint"), el("code", {}, model.fingerprint)],
        [t("dim"), count(model.dim)],
        [t("model.precision"), model.precision],
        [t("model.tokens"), known(model.max_tokens) ? count(model.max_tokens) : ""],
        [t("model.endpoint"), model.endpoint],
        [
          t("model.prompts"),
          Object.entries(model.prompts)
            .map(([role, prompt]) => `${role}: “${prompt}”`)
            .join(", "),
        ],
        [t("data.licence"), model.licence || t("unstated")],
        [t("model.notice"), model.notice],
      ]),
    ),
  );
  fill(
    node,
    el("h2", {}, t("provenance")),
    el("p", { class: "lead" }, t("provenance.lead")),
    facts([
      ["umekomi", results.umekomi],
      [t("created"), results.created],
      ["schema", results.schema],
    ]),
    el("h3", {}, t("machine")),
    facts(Object.entries(results.machine)),
    el("h3", {}, t("settings")),
    facts(Object.entries(results.settings)),
    el("h3", {}, t("models")),
    ...models,
    el(
      "button",
      {
        type: "button",
        onclick: () => download("results.json", "application/json", JSON.stringify(results, null, 1)),
      },
      t("download.results"),
    ),
  );
  return true;
}
