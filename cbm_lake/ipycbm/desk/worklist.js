// The worklist: a grid of one page of rows; the chosen row moves here at once, and the kernel follows.
const PAGE = 100;
const REST = 120; // milliseconds of a held key after which its row is asked for
const PATIENCE = 300; // milliseconds without typing after which is searched
const FORMATS = { csv: "CSV", xlsx: "XLSX", gpkg: "GeoPackage" };
let lists = 0;

const make = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in element && key !== "role") element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
};

const save = (name, buffer) => {
  const url = URL.createObjectURL(new Blob([buffer]));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
};

class Worklist {
  constructor(model, el) {
    this.model = model;
    this.id = `cbm-worklist-${(lists += 1)}`;
    this.words = model.get("words");
    this.at = model.get("at");
    this.timer = 0;
    this.typing = 0;
    this.wanted = null; // place to choose when its page has come
    this.numbers = new Intl.NumberFormat(model.get("language"), { minimumFractionDigits: 2, maximumFractionDigits: 2 });
    this.whole = new Intl.NumberFormat(model.get("language"));
    this.build(el);
    this.bound = [];
    this.on("change:view change:columns", () => this.draw());
    this.on("change:at", () => this.follow());
    this.on("change:count change:problem change:busy", () => this.tell());
    this.on("change:asked", () => this.fill());
    this.on("msg:custom", (content, buffers) => content.kind === "file" && save(content.name, buffers[0]));
    this.fill();
    this.tell();
    this.draw();
  }

  on(events, listener) {
    for (const event of events.split(" ")) {
      this.model.on(event, listener);
      this.bound.push([event, listener]);
    }
  }

  leave() {
    clearTimeout(this.timer);
    clearTimeout(this.typing);
    for (const [event, listener] of this.bound) this.model.off(event, listener);
  }

  build(el) {
    const { words } = this;
    this.search = make("input", { type: "search", id: `${this.id}-search`, className: "cbm-worklist-search", placeholder: words.search_tip, title: words.search_tip });
    this.where = make("input", { type: "text", id: `${this.id}-where`, spellcheck: false, autocomplete: "off", placeholder: "area_ha > 2 and decision is null", title: words.filter_tip });
    this.where.setAttribute("aria-describedby", `${this.id}-problem`);
    this.problem = make("pre", { className: "cbm-worklist-problem", id: `${this.id}-problem`, role: "alert" });
    this.count = make("span", { className: "cbm-worklist-count", role: "status" });
    this.next = make("button", { type: "button", textContent: words.next, title: words.next_tip });
    this.head = make("tr");
    this.body = make("tbody");
    this.table = make("table", { role: "grid", "aria-label": words.table }, make("thead", {}, this.head), this.body);
    this.scroll = make("div", { className: "cbm-worklist-scroll" }, this.table);
    this.details = make("dl", { className: "cbm-worklist-details", "aria-label": words.details });
    this.root = make("div", { className: "cbm-worklist" },
      make("div", { className: "cbm-worklist-asking" },
        make("label", { htmlFor: this.search.id, textContent: words.search }), this.search,
        make("label", { htmlFor: this.where.id, textContent: words.filter }), this.where),
      this.problem,
      make("div", { className: "cbm-worklist-line" }, this.count, this.next),
      this.scroll, this.pager(), this.details, this.files());
    this.search.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.age();
      this.typing = setTimeout(() => this.ask(), PATIENCE);
    });
    this.search.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" && this.body.rows.length) {
        event.preventDefault();
        this.focus();
      }
    });
    this.where.addEventListener("input", () => this.age());
    this.where.addEventListener("change", () => this.ask());
    this.next.addEventListener("click", () => this.send({ kind: "next" }));
    this.body.addEventListener("click", (event) => {
      const row = event.target.closest("tr");
      if (row) this.move(this.offset() + row.sectionRowIndex, { now: true });
    });
    this.body.addEventListener("keydown", (event) => this.key(event));
    this.body.addEventListener("keyup", () => this.flush());
    this.root.addEventListener("keydown", (event) => {
      if (event.key === "/" && !(event.target instanceof HTMLInputElement)) {
        event.preventDefault();
        this.search.focus();
      }
    });
    el.appendChild(this.root);
  }

  pager() {
    const page = (label, sign, to) => {
      const button = make("button", { type: "button", textContent: sign, title: label, "aria-label": label });
      button.addEventListener("click", () => this.turn(to()));
      return button;
    };
    const last = () => Math.floor(Math.max(0, this.total() - 1) / PAGE) * PAGE;
    this.range = make("span", { className: "cbm-worklist-count", role: "status" });
    this.back = [page(this.words.first, "«", () => 0), page(this.words.previous, "‹", () => this.offset() - PAGE)];
    this.forth = [page(this.words.following, "›", () => this.offset() + PAGE), page(this.words.last, "»", last)];
    return make("div", { className: "cbm-worklist-line", role: "group", "aria-label": this.words.pages }, this.range, ...this.back, ...this.forth);
  }

  files() {
    const buttons = Object.entries(FORMATS).map(([format, name]) => {
      const button = make("button", { type: "button", textContent: name, title: `${this.words.download}: ${name}`, "aria-label": `${this.words.download}: ${name}` });
      button.addEventListener("click", () => this.send({ kind: "file", format }));
      return button;
    });
    return make("div", { className: "cbm-worklist-line" }, make("span", { textContent: this.words.download }), ...buttons);
  }

  view() { return this.model.get("view"); }

  offset() { return this.view().offset ?? 0; }

  total() { return this.view().total ?? 0; }

  send(content) {
    this.flush();
    this.model.send(content);
  }

  // what is on the screen is of another question than what is asked
  age() { this.root.classList.add("cbm-worklist-old"); }

  ask(change = {}) {
    clearTimeout(this.typing);
    this.age();
    this.send({ kind: "ask", where: this.where.value, search: this.search.value, ...change });
  }

  turn(offset) {
    this.age();
    this.send({ kind: "page", offset });
  }

  fill() {
    const asked = this.model.get("asked");
    for (const name of ["search", "where"]) {
      if (document.activeElement !== this[name]) this[name].value = asked[name] ?? "";
    }
    this.sorted();
  }

  tell() {
    this.count.textContent = this.model.get("busy") ? this.words.reading : this.model.get("count");
    this.problem.textContent = this.model.get("problem");
    this.root.classList.toggle("cbm-worklist-old", this.model.get("busy"));
    this.root.setAttribute("aria-busy", this.model.get("busy"));
  }

  sorted() {
    const sort = this.model.get("asked").sort ?? "";
    for (const cell of this.head.cells) {
      const { name } = cell.dataset;
      const way = sort === name ? "ascending" : sort === `-${name}` ? "descending" : "none";
      cell.setAttribute("aria-sort", way);
      cell.firstChild.textContent = cell.dataset.label + { ascending: " ▲", descending: " ▼", none: "" }[way];
    }
  }

  draw() {
    const { columns, view } = { columns: this.model.get("columns"), view: this.view() };
    const hadFocus = this.body.contains(document.activeElement);
    this.head.replaceChildren(...columns.map((column) => this.heading(column)));
    this.body.replaceChildren(...(view.rows ?? []).map((row, n) => this.row(columns, row, this.offset() + n)));
    this.table.setAttribute("aria-rowcount", this.total() + 1);
    this.table.setAttribute("aria-colcount", columns.length);
    const first = Math.min(this.offset() + 1, this.total());
    this.range.textContent = this.total() ? `${this.whole.format(first)}–${this.whole.format(this.offset() + view.rows.length)} / ${this.whole.format(this.total())}` : this.words.nothing;
    for (const button of this.back) button.disabled = this.offset() === 0;
    for (const button of this.forth) button.disabled = this.offset() + PAGE >= this.total();
    this.root.classList.toggle("cbm-worklist-old", this.model.get("busy"));
    this.sorted();
    const wanted = this.wanted;
    this.wanted = null;
    if (wanted !== null) this.move(wanted, { now: true });
    else this.at = this.timer ? this.at : this.model.get("at");
    this.mark();
    if (hadFocus) this.focus();
  }

  heading(column) {
    const button = make("button", { type: "button", textContent: column.label, title: column.tip });
    button.addEventListener("click", () => {
      const sort = this.model.get("asked").sort ?? "";
      this.ask({ sort: { [column.name]: `-${column.name}`, [`-${column.name}`]: "" }[sort] ?? column.name });
    });
    const cell = make("th", { scope: "col", role: "columnheader", className: column.kind === "number" ? "cbm-number" : "" }, button);
    cell.dataset.name = column.name;
    cell.dataset.label = column.label;
    return cell;
  }

  row(columns, row, place) {
    const cells = columns.map((column, n) => this.cell(column, row.cells[n], row));
    const line = make("tr", { role: "row", tabIndex: -1, "aria-rowindex": place + 2 }, ...cells);
    line.dataset.pid = row.pid;
    return line;
  }

  text(column, value) {
    if (value === null || value === undefined) return "";
    if (column.name === "area_ha") return this.numbers.format(value);
    if (column.kind === "number") return this.whole.format(value);
    return this.model.get("values")[column.name]?.[value] ?? String(value);
  }

  cell(column, value, row) {
    const text = this.text(column, value);
    const cell = make("td", { role: "gridcell", className: column.kind === "number" ? "cbm-number" : "" });
    if (column.name === "colour" && text) {
      const light = make("span", { className: "cbm-light", textContent: text });
      light.dataset.colour = value;
      cell.append(light);
    } else cell.textContent = text;
    cell.title = column.name === "decision" && row.said ? `${text} · ${row.said}` : text;
    return cell;
  }

  // the kernel has chosen
  follow() {
    if (this.timer || this.wanted !== null) return; // somebody is still moving here
    this.at = this.model.get("at");
    this.mark();
  }

  mark() {
    const chosen = this.at - this.offset();
    [...this.body.rows].forEach((row, n) => {
      row.setAttribute("aria-selected", n === chosen);
      row.tabIndex = n === chosen || (n === 0 && !this.body.rows[chosen]) ? 0 : -1;
    });
    this.reveal(this.body.rows[chosen]);
    this.describe(this.view().rows?.[chosen]);
  }

  // scroll up or down as far as needed, and never sideways
  reveal(row) {
    if (!row) return;
    const top = row.offsetTop - this.head.offsetHeight;
    const bottom = row.offsetTop + row.offsetHeight - this.scroll.clientHeight;
    this.scroll.scrollTop = Math.max(Math.min(this.scroll.scrollTop, top), bottom);
  }

  describe(row) {
    const lines = [];
    const columns = this.model.get("columns");
    for (const name of ["scenario", "reason", "change", "crop_check", "foi", "decision", "outdated"]) {
      const n = columns.findIndex((column) => column.name === name);
      const text = row && n >= 0 ? this.text(columns[n], row.cells[n]) : "";
      if (!text) continue;
      lines.push(make("dt", { textContent: columns[n].label }), make("dd", { textContent: name === "decision" && row.said ? `${text} · ${row.said}` : text }));
    }
    this.details.replaceChildren(...lines);
  }

  focus() { (this.body.rows[this.at - this.offset()] ?? this.body.rows[0])?.focus({ preventScroll: true }); }

  key(event) {
    const at = this.at < 0 ? this.offset() - 1 : this.at;
    const screen = Math.max(1, Math.floor(this.scroll.clientHeight / (this.body.rows[0]?.offsetHeight || 24)) - 1);
    const places = { ArrowUp: at - 1, ArrowDown: at + 1, PageUp: at - screen, PageDown: at + screen, Home: 0, End: this.total() - 1, Enter: at };
    if (!(event.key in places) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.move(Math.max(0, Math.min(places[event.key], this.total() - 1)), { now: !event.repeat, focus: true });
  }

  // choose a row: at once here; in the kernel now, or when the key rests
  move(place, { now = false, focus = false } = {}) {
    if (place < 0 || place >= this.total()) return;
    if (place < this.offset() || place >= this.offset() + this.view().rows.length) {
      clearTimeout(this.timer);
      this.timer = 0;
      if (this.wanted === null) this.turn(Math.floor(place / PAGE) * PAGE);
      this.wanted = this.wanted ?? place;
      return;
    }
    this.at = place;
    this.mark();
    if (focus) this.focus();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flush(), now ? 0 : REST);
    if (now) this.flush();
  }

  flush() {
    if (!this.timer) return;
    clearTimeout(this.timer);
    this.timer = 0;
    const row = this.view().rows[this.at - this.offset()];
    if (row) this.model.send({ kind: "choose", at: this.at, pid: row.pid });
  }
}

export default {
  render({ model, el }) {
    el.style.height = "100%";
    const list = new Worklist(model, el);
    return () => list.leave();
  },
};
