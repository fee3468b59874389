"use strict";
(() => {
  // Tooltips that do not make one wait: the text is that of the titles.
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  tip.setAttribute("aria-hidden", "true");
  document.body.append(tip);
  let shown = null;
  const hide = () => {
    if (shown) shown.group.prepend(shown.title);
    shown = null;
    tip.hidden = true;
  };
  const titled = (start) => {
    for (let at = start; at && at !== document.body; at = at.parentElement) {
      if (at === (shown && shown.group)) return { group: at, title: shown.title };
      const title = at.querySelector && at.querySelector(":scope > title");
      if (title) return { group: at, title };
    }
    return null;
  };
  document.addEventListener("pointermove", (event) => {
    const found = event.target.closest && event.target.closest("svg") ? titled(event.target) : null;
    if (!found) return hide();
    if (!shown || shown.group !== found.group) {
      hide();
      shown = found;
      found.title.remove();
      tip.textContent = found.title.textContent;
      tip.hidden = false;
    }
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, Math.min(event.clientX + 12, innerWidth - width - 8)) + "px";
    const below = event.clientY + 16;
    tip.style.top = (below + height > innerHeight ? event.clientY - height - 8 : below) + "px";
  });
  document.addEventListener("pointerleave", hide);
  addEventListener("scroll", hide, { passive: true });
  addEventListener("beforeprint", () => {
    hide();
    for (const details of document.querySelectorAll("details")) details.open = true;
  });

  // Tables sort by a click on their heads; numbers by what they are, not as they are written.
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v);
  };
  const sort = (table, head, column) => {
    const down = head.getAttribute("aria-sort") !== "descending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    const order = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
    const rows = Array.from(body.rows).sort((a, b) => order(value(a, column), value(b, column)));
    body.append(...(down ? rows.reverse() : rows));
  };
  for (const table of document.querySelectorAll("table[data-sort]")) {
    Array.from(table.tHead.rows[0].cells).forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.textContent = "";
      head.append(button);
      button.addEventListener("click", () => sort(table, head, column));
    });
  }

  // The directories can be filtered by any text of their rows, and by a click on the map.
  const filter = document.querySelector(".filter");
  const table = document.querySelector("#table-directories");
  if (!filter || !table) return;
  const input = filter.querySelector("input");
  const output = filter.querySelector("output");
  const rows = Array.from(table.tBodies[0].rows, (row) => [row, row.textContent.toLowerCase()]);
  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const [row, text] of rows) {
      row.hidden = !words.every((word) => text.includes(word));
      if (!row.hidden) count += 1;
    }
    output.textContent = words.length ? count + " of " + rows.length + " shown" : "";
  };
  filter.hidden = false;
  input.addEventListener("input", apply);
  for (const group of document.querySelectorAll(".map [data-project]")) {
    group.addEventListener("click", () => {
      input.value = group.dataset.project;
      apply();
      input.focus();
      document.querySelector("#directories").scrollIntoView();
    });
  }
})();
