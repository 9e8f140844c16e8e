// The figure of a parcel's year: panels with one time axis and an axis of values each, drawn as SVG.
const SVG = "http://www.w3.org/2000/svg";
const LEFT = 42, RIGHT = 34, BOTTOM = 20, TITLE = 16, GAP = 6;
const NEAR = 24; // pixels within which a point is meant
const DAY = 86400000;
const LOCALES = { en: "en-GB" }; // 12 June, not June 12

function node(name, attributes = {}, parent = null, text = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  if (parent) parent.appendChild(made);
  return made;
}

const at = (text) => Date.parse(text.length === 10 ? `${text}T00:00:00Z` : `${text}Z`);
const middle = (day) => at(day) + DAY / 2;

function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return Array.from({ length: last - first + 1 }, (_, n) => [(first + n) * step, ((first + n) * step).toFixed(digits)]);
}

function months(begin, end) {
  const days = [];
  const start = new Date(begin);
  for (let n = start.getUTCMonth(); ; n += 1) {
    const day = Date.UTC(start.getUTCFullYear(), n, 1);
    if (day > end) return days;
    if (day >= begin) days.push(day);
  }
}

const path = (points) => points.map(([x, y], n) => `${n ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

class Chart {
  constructor(model, el) {
    this.model = model;
    this.root = document.createElement("div");
    this.root.className = "cbm-chart";
    this.svg = node("svg", { "aria-hidden": "true" });
    this.tip = document.createElement("div");
    this.tip.className = "cbm-tip";
    this.tip.hidden = true;
    this.tip.setAttribute("aria-hidden", "true");
    this.legend = document.createElement("div");
    this.legend.className = "cbm-legend";
    this.plot = document.createElement("div");
    this.plot.className = "cbm-plot";
    this.plot.append(this.svg, this.tip);
    this.root.append(this.plot, this.legend);
    el.appendChild(this.root);
    this.plot.addEventListener("mousemove", (event) => this.hover(event));
    this.plot.addEventListener("mouseleave", () => this.leave());
    this.plot.addEventListener("click", (event) => this.click(event));
    this.plot.addEventListener("keydown", (event) => this.key(event));
    model.on("change:figure change:band change:drawn", () => this.draw());
    model.on("change:day", () => this.cursor());
    model.on("change:theme", () => this.look());
    this.watch = new ResizeObserver(() => this.draw());
    this.watch.observe(this.plot);
    this.look();
    this.draw();
  }

  look() { this.root.dataset.theme = this.model.get("theme"); }

  get figure() { return this.model.get("figure"); }

  get words() { return this.model.get("words"); }

  date(time, options) {
    return new Intl.DateTimeFormat(LOCALES[this.model.get("language")] || this.model.get("language"), { timeZone: "UTC", ...options }).format(time);
  }

  draw() {
    const figure = this.figure;
    this.svg.replaceChildren();
    this.leave();
    this.marks = [];
    this.role();
    const width = this.plot.clientWidth;
    const height = this.plot.clientHeight;
    this.drawLegend();
    if (!figure.panels || width < 80 || height < 60) return;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.begin = at(figure.span[0]);
    this.end = at(figure.span[1]);
    this.width = width;
    this.height = height;
    this.x = (time) => LEFT + ((time - this.begin) / (this.end - this.begin)) * (width - LEFT - RIGHT);
    const total = figure.panels.reduce((sum, panel) => sum + panel.height, 0);
    const free = height - BOTTOM - figure.panels.length * TITLE - (figure.panels.length - 1) * GAP;
    let top = 0;
    for (const panel of figure.panels) {
      const tall = (free * panel.height) / total;
      this.panel(panel, top + TITLE, tall);
      top += TITLE + tall + GAP;
    }
    this.bottom = height - BOTTOM;
    this.axis();
    this.spans();
    this.layer = node("g", { class: "cbm-cursor" }, this.svg);
    this.near = node("g", {}, this.svg);
    this.cursor();
  }

  axis() {
    const begins = months(this.begin, this.end);
    const each = begins.length > 1 ? this.x(begins[1]) - this.x(begins[0]) : 100;
    const every = Math.max(1, Math.ceil(26 / each));
    begins.forEach((time, n) => {
      const x = this.x(time);
      node("line", { x1: x, x2: x, y1: this.bottom, y2: this.bottom + 3, class: "cbm-edge" }, this.svg);
      const january = new Date(time).getUTCMonth() === 0;
      if (n % every) return;
      const text = this.date(time, january ? { year: "numeric" } : { month: "short" });
      node("text", { x: x + 2, y: this.bottom + 14, class: "cbm-text" }, this.svg, text);
    });
  }

  limits(panel) {
    const all = panel.name === "index" ? [this.model.get("band").limits, this.model.get("drawn").limits] : [];
    const given = [panel.limits, ...all.filter(Boolean)];
    return [Math.min(...given.map(([low]) => low)), Math.max(...given.map(([, high]) => high))];
  }

  series(panel) {
    const drawn = panel.name === "index" && this.model.get("drawn").series;
    return drawn ? [...panel.series, drawn] : panel.series;
  }

  panel(panel, top, tall) {
    const scale = ([low, high]) => (value) => top + tall - ((Math.min(Math.max(value, low), high) - low) / (high - low)) * tall;
    const group = node("g", { "data-panel": panel.name }, this.svg);
    const limits = this.limits(panel);
    const y = scale(limits);
    node("text", { x: 2, y: top - 4, class: "cbm-title" }, group, panel.title);
    node("rect", { x: LEFT, y: top, width: this.width - LEFT - RIGHT, height: tall, class: "cbm-ground" }, group);
    for (const [value, text] of ticks(...limits, Math.max(3, tall / 26))) {
      node("line", { x1: LEFT, x2: this.width - RIGHT, y1: y(value), y2: y(value), class: "cbm-grid" }, group);
      node("text", { x: LEFT - 4, y: y(value) + 3.5, class: "cbm-text cbm-end" }, group, text);
    }
    if (panel.name === "index") this.peers(group, y);
    for (const series of this.series(panel)) {
      if (panel.bars) this.bars(group, series, y, top + tall, panel);
      else this.curve(group, series, y, panel);
    }
    if (panel.right) {
      const right = scale(panel.right.limits);
      for (const [value, text] of ticks(...panel.right.limits, Math.max(3, tall / 26))) {
        node("text", { x: this.width - RIGHT + 4, y: right(value) + 3.5, class: "cbm-text" }, group, text);
      }
      for (const series of panel.right.series) this.curve(group, series, right, panel, false);
    }
    if (panel.name !== "weather" && !panel.series.some((series) => series.points.some((point) => point[4]))) {
      node("text", { x: (LEFT + this.width - RIGHT) / 2, y: top + 14, class: "cbm-text cbm-middle" }, group, this.words.no_clear);
    }
  }

  area(group, rows, y, colour, opacity) {
    const finite = rows.filter(([, low, high]) => low !== null && high !== null);
    if (finite.length < 2) return;
    const upper = finite.map(([time, , high]) => [this.x(at(time)), y(high)]);
    const lower = finite.map(([time, low]) => [this.x(at(time)), y(low)]).reverse();
    node("path", { d: `${path([...upper, ...lower])}Z`, fill: colour, "fill-opacity": opacity, stroke: "none" }, group);
  }

  peers(group, y) {
    for (const line of this.model.get("band").lines || []) {
      const part = node("g", { class: "cbm-peers" }, group);
      this.area(part, line.rows.map(([time, , low, high]) => [time, low, high]), y, line.colour, 0.18);
      const points = line.rows.filter((row) => row[1] !== null).map(([time, value]) => [this.x(at(time)), y(value)]);
      node("path", { d: path(points), class: "cbm-line", stroke: line.colour, "stroke-dasharray": "2 3" }, part);
    }
  }

  curve(group, series, y, panel, marked = true) {
    const clear = series.points.filter((point) => point[4] && point[1] !== null);
    const part = node("g", { class: "cbm-series", style: `--curve: ${series.colour}` }, group);
    this.area(part, clear.map(([time, , low, high]) => [time, low, high]), y, "var(--curve)", 0.16);
    node("path", { d: path(clear.map(([time, value]) => [this.x(at(time)), y(value)])), class: "cbm-line" }, part);
    for (const point of series.points) {
      if (point[1] === null) continue;
      const mark = { x: this.x(at(point[0])), y: y(point[1]), point, series, panel };
      this.marks.push(mark);
      if (!marked) continue;
      const radius = series.points.length > 100 ? 1.6 : point[4] ? 3 : 2.6;
      mark.circle = node("circle", { cx: mark.x.toFixed(1), cy: mark.y.toFixed(1), r: radius, "data-time": point[0], class: point[4] ? "cbm-clear" : "cbm-hollow" }, part);
    }
  }

  bars(group, series, y, bottom, panel) {
    const wide = Math.max(1, (0.9 * DAY * (this.width - LEFT - RIGHT)) / (this.end - this.begin));
    for (const point of series.points) {
      if (point[1] === null) continue;
      const top = y(point[1]);
      const x = this.x(at(point[0]));
      this.marks.push({ x, y: top, point, series, panel });
      node("rect", { x: x - wide / 2, y: top, width: wide, height: Math.max(0, bottom - top), fill: series.colour }, group);
    }
  }

  spans() {
    for (const event of this.figure.events) {
      const first = this.x(at(event.first));
      const day = this.x(at(event.day));
      const width = Math.max(1, this.x(at(event.last)) - first);
      const part = node("g", { class: "cbm-event" }, this.svg);
      node("rect", { x: first, y: TITLE, width, height: this.bottom - TITLE, class: "cbm-span" }, part);
      node("line", { x1: day, x2: day, y1: TITLE, y2: this.bottom, class: "cbm-day" }, part);
      this.upright(part, day, event.name);
    }
    for (const line of this.figure.days) {
      const x = this.x(at(line.day));
      if (x < LEFT || x > this.width - RIGHT) continue;
      const part = node("g", { class: "cbm-due", style: `--curve: ${line.colour}` }, this.svg);
      node("line", { x1: x, x2: x, y1: TITLE, y2: this.bottom }, part);
      this.upright(part, x, line.label);
    }
  }

  upright(group, x, text) {
    const attributes = { transform: `translate(${x - 3} ${TITLE + 3}) rotate(-90)`, class: "cbm-text cbm-end" };
    node("text", attributes, group, text.length > 34 ? `${text.slice(0, 33)}…` : text);
  }

  // -- the day that is chosen -----------------------------------------------------------------------------------------

  cursor() {
    if (!this.layer) return;
    this.layer.replaceChildren();
    const day = this.model.get("day");
    for (const mark of this.marks) if (mark.circle) mark.circle.classList.toggle("cbm-at", day !== "" && mark.point[0].startsWith(day));
    this.role();
    if (!day || middle(day) < this.begin || middle(day) > this.end || !this.figure.panels) return;
    const marks = this.marks.filter((mark) => mark.circle && mark.point[0].startsWith(day));
    const x = marks.length ? marks[0].x : this.x(middle(day));
    node("line", { x1: x, x2: x, y1: TITLE, y2: this.bottom, "data-day": day }, this.layer);
  }

  role() {
    const days = this.model.get("days");
    const day = this.model.get("day");
    const index = days.indexOf(day);
    const steps = this.figure.panels && days.length > 1;
    this.plot.setAttribute("aria-label", this.model.get("label"));
    this.plot.setAttribute("role", steps ? "slider" : "img");
    for (const name of ["aria-valuemin", "aria-valuemax", "aria-valuenow", "aria-valuetext", "tabindex"]) this.plot.removeAttribute(name);
    if (!steps) return;
    this.plot.tabIndex = 0;
    this.plot.setAttribute("aria-valuemin", 0);
    this.plot.setAttribute("aria-valuemax", days.length - 1);
    this.plot.setAttribute("aria-valuenow", Math.max(index, 0));
    this.plot.setAttribute("aria-valuetext", this.spoken(days[Math.max(index, 0)]));
  }

  spoken(day) {
    const mark = (this.marks || []).find((one) => one.panel.name === "index" && one.point[0].startsWith(day));
    return [this.date(middle(day), { dateStyle: "long" }), ...(mark ? this.about(mark).slice(1) : [])].join(", ");
  }

  pick(day) {
    if (!day || day === this.model.get("day")) return;
    this.model.set("day", day);
    this.model.save_changes();
  }

  nearest(time) {
    const days = this.model.get("days");
    return days.reduce((best, day) => (!best || Math.abs(middle(day) - time) < Math.abs(middle(best) - time) ? day : best), "");
  }

  click(event) {
    if (!this.x) return;
    const mark = this.under(event);
    if (mark) this.pick(this.nearest(middle(mark.point[0].slice(0, 10))));
  }

  key(event) {
    const days = this.model.get("days");
    const index = days.indexOf(this.model.get("day"));
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const target = step ? (index < 0 ? (step < 0 ? days.length - 1 : 0) : index + step) : { Home: 0, End: days.length - 1 }[event.key];
    if (target === undefined || target < 0 || target >= days.length) return;
    event.preventDefault();
    event.stopPropagation();
    this.pick(days[target]);
  }

  // -- what is under the mouse ----------------------------------------------------------------------------------------

  under(event) {
    const box = this.plot.getBoundingClientRect();
    const x = event.clientX - box.left;
    const y = event.clientY - box.top;
    let best = null;
    let least = NEAR;
    for (const mark of this.marks || []) {
      const distance = mark.circle ? Math.hypot(mark.x - x, mark.y - y) : Math.abs(mark.x - x) < 3 && Math.abs(mark.y - y) < 40 ? 20 : NEAR;
      if (distance < least) [best, least] = [mark, distance];
    }
    return best;
  }

  about(mark) {
    const [time, value, , , usable, why, share, scene] = mark.point;
    const words = this.words;
    const digits = { weather: 1, bs: 1 }[mark.panel.name] ?? 3;
    const day = mark.panel.name === "weather" ? time.slice(0, 10) : time;
    const shown = this.date(at(day), day.length === 10 ? { dateStyle: "medium" } : { dateStyle: "medium", timeStyle: "short" });
    const lines = [day.length === 10 ? shown : `${shown} UTC`, `${mark.series.label || words.value}: ${value.toFixed(digits)}`];
    if (share !== null && share !== undefined) lines.push(words.clear_share.replace("{share}", (100 * share).toFixed(0)));
    if (!usable && why) lines.push(words[why] || why);
    if (scene) lines.push(`${words.scene} ${scene}`);
    return lines;
  }

  hover(event) {
    if (!this.near) return;
    const mark = this.under(event);
    this.near.replaceChildren();
    this.tip.hidden = !mark;
    if (!mark) return;
    node("circle", { cx: mark.x, cy: mark.y, r: 6, class: "cbm-near" }, this.near);
    this.tip.replaceChildren(...this.about(mark).map((text) => Object.assign(document.createElement("div"), { textContent: text })));
    const left = mark.x + 12 + this.tip.offsetWidth > this.width ? mark.x - 12 - this.tip.offsetWidth : mark.x + 12;
    this.tip.style.left = `${Math.max(0, left)}px`;
    this.tip.style.top = `${Math.max(0, Math.min(mark.y - 10, this.height - this.tip.offsetHeight))}px`;
  }

  leave() {
    this.tip.hidden = true;
    if (this.near) this.near.replaceChildren();
  }

  // -- the legend -----------------------------------------------------------------------------------------------------

  drawLegend() {
    const entries = this.figure.panels ? this.entries() : [];
    this.legend.replaceChildren(...entries.map(([kind, colour, text, title]) => {
      const entry = document.createElement("span");
      entry.className = "cbm-entry";
      if (title) entry.title = title;
      const key = Object.assign(document.createElement("i"), { className: `cbm-key cbm-key-${kind}` });
      key.style.setProperty("--curve", colour);
      entry.append(key, document.createTextNode(text));
      return entry;
    }));
  }

  entries() {
    const words = this.words;
    const band = this.model.get("band");
    const entries = [];
    for (const panel of this.figure.panels) {
      for (const series of [...this.series(panel), ...(panel.right ? panel.right.series : [])]) {
        if (!entries.some((entry) => entry[2] === series.label)) entries.push([panel.bars && panel.series.includes(series) ? "bar" : "line", series.colour, series.label]);
        if (panel.name !== "index") continue;
        if (series.points.some((point) => !point[4])) entries.push(["hollow", series.colour, words.hollow, words.hollow_tip]);
        if (series.points.some((point) => point[4] && point[2] !== null)) entries.push(["band", series.colour, words.spread, words.spread_tip]);
      }
    }
    for (const line of band.lines || []) entries.push(["peers", line.colour, words.peers, line.label]);
    if (band.loading) entries.push(["peers", "#777777", words.peers_loading]);
    if (this.figure.events.length) entries.push(["work", "var(--cbm-of-ink)", words.work, words.work_tip]);
    return entries;
  }
}

export default {
  render({ model, el }) {
    const chart = new Chart(model, el);
    return () => chart.watch.disconnect();
  },
};
