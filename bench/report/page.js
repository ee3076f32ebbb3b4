"use strict";
// Adds to a page that is whole without it: tables that sort and can be searched, pictures that
// open large, buttons that copy. It loads nothing and stores nothing.
(() => {
  const UNKNOWN = "\u2013";
  const SEARCHED = 20; // rows; a shorter table is seen at a glance

  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  // The number that a cell stands for, or its own text; null where it is unknown.
  const sortable = (cell) => {
    const value = cell.dataset.value;
    if (value !== undefined) return value === "" ? null : Number(value);
    const texts = [...cell.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE);
    const text = texts.map((node) => node.data).join("").trim();
    return text === "" || text === UNKNOWN ? null : text;
  };

  const collator = new Intl.Collator("en", { numeric: true });
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : collator.compare(a, b);

  const sortBy = (table, heads, place) => {
    const next = { none: "ascending", ascending: "descending", descending: "none" };
    const order = next[heads[place].getAttribute("aria-sort") || "none"];
    for (const head of heads) head.removeAttribute("aria-sort");
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [row, sortable(row.cells[place])]);
    if (order === "none") {
      rows.sort(([a], [b]) => a.dataset.place - b.dataset.place);
    } else {
      heads[place].setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      rows.sort(([, a], [, b]) => {
        if (a === null || b === null) return (a === null) - (b === null);
        return sign * compare(a, b);
      });
    }
    body.append(...rows.map(([row]) => row));
  };

  const makeSortable = (table) => {
    const heads = [...table.tHead.rows[0].cells];
    [...table.tBodies[0].rows].forEach((row, place) => { row.dataset.place = place; });
    heads.forEach((head, place) => {
      const button = make("button", { type: "button", className: "sort" }, ...head.childNodes);
      button.addEventListener("click", () => sortBy(table, heads, place));
      head.append(button);
    });
  };

  const makeSearchable = (table) => {
    const region = table.parentElement;
    const rows = [...table.tBodies[0].rows].map((row) => [row, row.textContent.toLowerCase()]);
    const input = make("input", { type: "search", autocomplete: "off", spellcheck: false });
    const count = make("output", {}, `${rows.length.toLocaleString("en")} rows`);
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const [row, text] of rows) {
        row.hidden = !words.every((word) => text.includes(word));
        shown += !row.hidden;
      }
      const [some, all] = [shown, rows.length].map((number) => number.toLocaleString("en"));
      count.textContent = words.length ? `${some} of ${all} rows` : `${all} rows`;
    });
    const label = make("label", {}, "Show rows with ", input);
    region.before(make("p", { className: "search" }, label, count));
  };

  for (const table of document.querySelectorAll(".table > table:not(.fields)")) {
    const count = table.tBodies[0].rows.length;
    // A table across unlike protocols is not to be ranked.
    if (count > 1 && !table.closest(".unranked")) makeSortable(table);
    if (count >= SEARCHED) makeSearchable(table);
  }

  // Pictures open over the page; Escape or the button closes them again.
  const large = make("img");
  const words = make("p");
  const close = make("button", { type: "button" }, "Close");
  const room = make("div", { className: "room", tabIndex: 0 }, large);
  const dialog = make("dialog", { className: "large" }, close, room, words);
  dialog.setAttribute("aria-label", "Figure");
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => large.removeAttribute("src"));
  document.body.append(dialog);

  for (const image of document.querySelectorAll(".drawing img, .grids img")) {
    const shown = image.parentElement.tagName === "PICTURE" ? image.parentElement : image;
    const title = image.closest("figure").querySelector("figcaption b").textContent;
    const button = make("button", { type: "button", className: "enlarge" });
    button.setAttribute("aria-label", `Enlarge: ${title}`);
    shown.replaceWith(button);
    button.append(shown);
    button.addEventListener("click", () => {
      dialog.classList.toggle("pixels", !image.closest(".drawing"));
      large.src = image.getAttribute("src");
      large.alt = image.alt;
      words.textContent = image.closest("figure").querySelector("figcaption").textContent;
      dialog.showModal();
      room.scrollTo(0, 0);
    });
  }

  // Copying, also where the page was opened from a file and no clipboard is offered.
  const select = (element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
  };
  const copy = async (element) => {
    try {
      await navigator.clipboard.writeText(element.textContent);
      return true;
    } catch {
      select(element);
      return document.execCommand("copy");
    }
  };
  const addCopy = (code) => {
    const button = make("button", { type: "button", className: "copy" }, "Copy");
    button.setAttribute("aria-live", "polite");
    button.addEventListener("click", async () => {
      button.textContent = (await copy(code)) ? "Copied" : "Selected";
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
    (code.closest("pre") || code).after(button);
  };
  document.querySelectorAll("pre > code").forEach(addCopy);
  document.addEventListener("toggle", ({ target }) => {
    if (!target.matches("details.copied:not(.ready)")) return;
    target.classList.add("ready");
    target.querySelectorAll("code").forEach(addCopy);
  }, true);
})();
