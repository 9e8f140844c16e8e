// A year of small images in the order of days: a listbox from which one day is chosen.
const LOCALES = { en: "en-GB" }; // 12 June, not June 12
const SVG = "http://www.w3.org/2000/svg";
const middle = (day) => Date.parse(`${day}T12:00:00Z`);
let strips = 0;

class Film {
  constructor(model, el) {
    this.model = model;
    strips += 1;
    this.name = `cbm-strip-${strips}-`;
    this.urls = new Map();
    this.root = document.createElement("div");
    this.root.className = "cbm-strip";
    this.scroll = document.createElement("div");
    this.scroll.className = "cbm-film";
    this.months = document.createElement("div");
    this.months.className = "cbm-months";
    this.months.setAttribute("aria-hidden", "true");
    this.list = document.createElement("div");
    this.list.className = "cbm-looks";
    this.list.setAttribute("role", "listbox");
    this.list.setAttribute("aria-orientation", "horizontal");
    this.list.tabIndex = 0;
    this.note = document.createElement("div");
    this.note.className = "cbm-note";
    this.note.setAttribute("role", "status");
    this.scroll.append(this.months, this.list);
    this.root.append(this.scroll, this.note);
    el.appendChild(this.root);
    this.list.addEventListener("click", (event) => this.click(event));
    this.list.addEventListener("keydown", (event) => this.key(event));
    model.on("change:looks change:events change:label change:note", () => this.draw());
    model.on("change:pictures", () => this.fill());
    model.on("change:day", () => this.choose());
    model.on("change:theme", () => this.look());
    this.look();
    this.draw();
  }

  look() { this.root.dataset.theme = this.model.get("theme"); }

  date(day, options) {
    return new Intl.DateTimeFormat(LOCALES[this.model.get("language")] || this.model.get("language"), { timeZone: "UTC", ...options }).format(middle(day));
  }

  draw() {
    const looks = this.model.get("looks");
    this.list.setAttribute("aria-label", this.model.get("label"));
    this.note.textContent = this.model.get("note");
    this.note.hidden = !this.note.textContent;
    this.options = looks.map((look, n) => this.option(look, n));
    this.list.replaceChildren(...this.options);
    this.scroll.hidden = !looks.length;
    this.head(looks);
    this.fill();
    this.choose();
  }

  option(look, n) {
    const option = document.createElement("div");
    option.id = `${this.name}${n}`;
    option.className = `cbm-look${look.clouded ? " cbm-clouded" : ""}`;
    option.setAttribute("role", "option");
    option.dataset.day = look.day;
    option.dataset.scene = look.id;
    option.title = `${this.date(look.day, { dateStyle: "long" })}, ${this.sky(look)}\n${look.id}`;
    const frame = document.createElement("div");
    frame.className = "cbm-frame";
    const foot = document.createElement("div");
    foot.className = "cbm-foot";
    foot.textContent = this.date(look.day, { day: "numeric", month: "short" });
    option.append(frame, foot);
    if (look.optical && (look.cloud || look.cloud === null)) {
      option.append(Object.assign(document.createElement("span"), { className: "cbm-sky", textContent: `☁ ${this.percent(look)}` }));
    }
    return option;
  }

  percent(look) { return look.cloud === null ? "?" : `${Math.max(1, Math.round(100 * look.cloud))} %`; }

  sky(look) {
    const words = this.model.get("words");
    if (!look.optical) return "";
    if (look.cloud === null) return words.unknown;
    const parts = [look.cloud ? words.clouded.replace("{share} %", this.percent(look)) : words.cloud_free];
    if (look.why_not && words[look.why_not] && look.why_not !== "unknown") parts.push(words[look.why_not]);
    return parts.join(", ");
  }

  head(looks) {
    const marks = [];
    let month = "";
    this.options.forEach((option, n) => {
      const here = looks[n].day.slice(0, 7);
      if (here === month) return;
      month = here;
      const january = here.endsWith("-01") || n === 0;
      marks.push(this.mark("cbm-month", option.offsetLeft, this.date(looks[n].day, { month: "long", ...(january ? { year: "numeric" } : {}) })));
    });
    for (const event of this.model.get("events")) {
      const tick = this.mark("cbm-tick", this.position(event.day, looks), event.name);
      tick.title = `${event.name}, ${this.date(event.day, { dateStyle: "long" })}`;
      marks.push(tick);
    }
    this.months.style.width = `${this.list.scrollWidth}px`;
    this.months.replaceChildren(...marks);
  }

  mark(name, left, text) {
    const mark = document.createElement("span");
    mark.className = name;
    mark.style.left = `${left}px`;
    mark.textContent = text;
    return mark;
  }

  position(day, looks) {
    const centre = (n) => this.options[n].offsetLeft + this.options[n].offsetWidth / 2;
    const after = looks.findIndex((look) => look.day >= day);
    if (after === -1) return looks.length ? centre(looks.length - 1) + this.options[0].offsetWidth / 2 : 0;
    if (after === 0 || looks[after].day === day) return centre(after);
    const begin = middle(looks[after - 1].day);
    const share = (middle(day) - begin) / (middle(looks[after].day) - begin);
    return centre(after - 1) + share * (centre(after) - centre(after - 1));
  }

  fill() {
    const pictures = this.model.get("pictures");
    for (const url of this.urls.values()) URL.revokeObjectURL(url);
    this.urls.clear();
    for (const option of this.options) {
      const frame = option.firstChild;
      const picture = pictures[option.dataset.scene];
      frame.replaceChildren();
      frame.classList.toggle("cbm-waiting", !picture);
      if (!picture) continue;
      if (!picture.png.byteLength) {
        frame.textContent = this.model.get("words").no_image;
        continue;
      }
      const url = URL.createObjectURL(new Blob([picture.png], { type: "image/png" }));
      this.urls.set(option.dataset.scene, url);
      const image = Object.assign(document.createElement("img"), { src: url, alt: "" });
      const outline = document.createElementNS(SVG, "svg");
      outline.setAttribute("viewBox", "0 0 100 100");
      outline.setAttribute("aria-hidden", "true");
      for (const kind of ["cbm-halo", "cbm-ring"]) {
        const path = document.createElementNS(SVG, "path");
        path.setAttribute("d", picture.outline);
        path.setAttribute("class", kind);
        outline.appendChild(path);
      }
      frame.append(image, outline);
    }
    this.name_options();
  }

  name_options() {
    const words = this.model.get("words");
    const looks = this.model.get("looks");
    const day = this.model.get("day");
    const pictures = this.model.get("pictures");
    this.options.forEach((option, n) => {
      const parts = [this.date(looks[n].day, { day: "numeric", month: "long" }), this.sky(looks[n])];
      if (!pictures[looks[n].id]) parts.push(words.loading);
      if (looks[n].day === day) parts.push(words.is_chosen);
      option.setAttribute("aria-label", parts.filter(Boolean).join(", "));
    });
  }

  choose() {
    const day = this.model.get("day");
    let first = null;
    for (const option of this.options) {
      const here = option.dataset.day === day;
      option.classList.toggle("cbm-at", here);
      option.setAttribute("aria-selected", here && !first ? "true" : "false");
      if (here && !first) first = option;
    }
    this.name_options();
    if (!first) {
      this.list.removeAttribute("aria-activedescendant");
      return;
    }
    this.list.setAttribute("aria-activedescendant", first.id);
    const { offsetLeft, offsetWidth } = first;
    if (offsetLeft < this.scroll.scrollLeft || offsetLeft + offsetWidth > this.scroll.scrollLeft + this.scroll.clientWidth) {
      this.scroll.scrollLeft = offsetLeft - (this.scroll.clientWidth - offsetWidth) / 2;
    }
  }

  pick(option) {
    if (!option || option.dataset.day === this.model.get("day")) return;
    this.model.set("day", option.dataset.day);
    this.model.save_changes();
  }

  click(event) { this.pick(event.target.closest("[role=option]")); }

  key(event) {
    const days = [...new Set(this.options.map((option) => option.dataset.day))];
    const index = days.indexOf(this.model.get("day"));
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    let target = { Home: 0, End: days.length - 1, Enter: Math.max(index, 0) }[event.key];
    if (step) target = index < 0 ? (step < 0 ? days.length - 1 : 0) : index + step;
    if (target === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.pick(this.options.find((option) => option.dataset.day === days[target]));
  }
}

export default {
  render({ model, el }) {
    const film = new Film(model, el);
    const watch = new ResizeObserver(() => film.head(model.get("looks")));
    watch.observe(film.root);
    return () => {
      watch.disconnect();
      for (const url of film.urls.values()) URL.revokeObjectURL(url);
    };
  },
};
