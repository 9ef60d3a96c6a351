"use strict";
const charts = [...document.querySelectorAll(".chart")];
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// The colors of the page, as plotly's layout wants them
function theme() {
  const axis = (name) => ({
    [`${name}.gridcolor`]: color("--line"),
    [`${name}.linecolor`]: color("--faint"),
    [`${name}.tickcolor`]: color("--faint"),
  });
  return {
    "font.color": color("--faint"),
    "hoverlabel.bgcolor": color("--soft"),
    "hoverlabel.font.color": color("--ink"),
    "hoverlabel.bordercolor": color("--faint"),
    ...axis("xaxis"),
    ...axis("yaxis"),
  };
}

for (const chart of charts) {
  const { data, layout } = JSON.parse(chart.nextElementSibling.textContent);
  const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["lasso2d", "select2d"] };
  Plotly.newPlot(chart, data, layout, config).then(() => Plotly.relayout(chart, theme()));
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const chart of charts) Plotly.relayout(chart, theme());
});

for (const button of document.querySelectorAll(".legend button")) {
  button.addEventListener("click", () => {
    const shown = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", shown);
    for (const chart of charts) {
      const traces = chart.data.flatMap((trace, k) => (trace.legendgroup === button.dataset.group ? [k] : []));
      if (traces.length) Plotly.restyle(chart, { visible: shown }, traces);
    }
  });
}

// A click sorts by a column, a second one the other way round; cells without a value stay last
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const first = head.dataset.first ?? "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const order = head.getAttribute("aria-sort") === first ? other : first;
    const body = head.closest("table").tBodies[0];
    const key = (row) => row.cells[head.cellIndex].dataset.value ?? row.cells[head.cellIndex].textContent.trim();
    const compare = (a, b) => (isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b);
    const sign = order === "ascending" ? 1 : -1;
    const rows = [...body.rows].sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      return x === "" || y === "" ? (x === "") - (y === "") : sign * compare(x, y);
    });
    for (const th of head.parentElement.cells) th.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    body.append(...rows);
  });
}
