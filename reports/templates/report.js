"use strict";
// Sorting and filtering of the task table. Without scripts the table is whole and in order.
(function () {
  var table = document.getElementById("task-table");
  if (!table) return;
  var body = table.tBodies[0];
  var rows = Array.prototype.slice.call(body.rows);

  function key(row, column) {
    var cell = row.cells[column];
    var text = cell.hasAttribute("data-value") ? cell.getAttribute("data-value") : cell.textContent.trim();
    return text !== "" && isFinite(text) ? Number(text) : text;
  }

  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b));
  }

  function sort(header, column) {
    var sign = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    headers.forEach(function (other) { other.setAttribute("aria-sort", "none"); });
    header.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    rows.sort(function (a, b) {
      var left = key(a, column), right = key(b, column);
      // Absent values stay at the end in either direction.
      if (left === "" || right === "") return (left === "") - (right === "");
      return sign * compare(left, right);
    });
    rows.forEach(function (row) { body.appendChild(row); });
  }

  var headers = Array.prototype.slice.call(table.tHead.rows[table.tHead.rows.length - 1].cells);
  headers.forEach(function (header, column) {
    var button = document.createElement("button");
    button.type = "button";
    button.textContent = header.textContent;
    header.textContent = "";
    header.appendChild(button);
    header.setAttribute("aria-sort", "none");
    button.addEventListener("click", function () { sort(header, column); });
  });

  var form = document.getElementById("filter");
  var text = document.getElementById("filter-text");
  var outcome = document.getElementById("filter-outcome");
  var count = document.getElementById("filter-count");

  function filter() {
    var wanted = text.value.toLowerCase();
    var shown = 0;
    rows.forEach(function (row) {
      var named = row.cells[0].textContent.toLowerCase().indexOf(wanted) >= 0;
      var ended = outcome.value === "" || row.querySelector('[data-outcome="' + outcome.value + '"]') !== null;
      row.hidden = !(named && ended);
      if (!row.hidden) shown += 1;
    });
    count.textContent = shown + " of " + rows.length + " shown";
  }

  form.hidden = false;
  form.addEventListener("submit", function (event) { event.preventDefault(); });
  text.addEventListener("input", filter);
  outcome.addEventListener("change", filter);
  filter();
})();
