// A click on a column's head sorts its table: up, down, and as it was. Rows that sum others up stay last.
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  if (original.length < 2) continue;
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const next = { ascending: "descending", descending: "" }[head.getAttribute("aria-sort")] ?? "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      if (next) head.setAttribute("aria-sort", next);
      body.append(...(next ? sorted(original, column, head.classList.contains("number"), next) : original));
    });
  });
}
function sorted(rows, column, numeric, direction) {
  const sign = direction === "ascending" ? 1 : -1;
  const text = (row) => row.cells[column].textContent.trim();
  const value = (row) => parseFloat(text(row).replaceAll(",", "").replace("−", "-"));
  const compare = (one, other) => {
    const summed = one.classList.contains("pooled") - other.classList.contains("pooled");
    if (summed) return summed;
    if (!numeric) return sign * text(one).localeCompare(text(other), "en", { numeric: true });
    const [first, second] = [value(one), value(other)];
    if (isNaN(first) || isNaN(second)) return isNaN(first) - isNaN(second);
    return sign * (first - second);
  };
  return [...rows].sort(compare);
}
