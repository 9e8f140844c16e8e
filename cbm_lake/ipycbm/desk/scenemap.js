// The line of controls over the map, and what of the map the kernel cannot do: the swipe, the fading of what is old, and
// names for who cannot see it. Nothing is loaded from elsewhere.

const PATIENCE = 150; // milliseconds between two days that a moving slider asks for
const SHOWN = 700; // milliseconds that Play shows a day at least

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function named(element, words, key) {
  element.title = words[`${key}_tip`];
  element.setAttribute("aria-label", words[key]);
  return element;
}

function labelled(words, key, field) {
  const label = make("label", { className: "cbm-map-field", title: words[`${key}_tip`] });
  field.setAttribute("aria-label", words[key]);
  label.append(make("span", { textContent: words[key] }), field);
  return label;
}

function choice(model, trait, listing) {
  const field = make("select");
  const fill = () => {
    const value = model.get(trait);
    field.replaceChildren(...model.get(listing).map(([key, text]) => make("option", { value: key, textContent: text })));
    field.value = value;
  };
  field.addEventListener("change", () => {
    model.set(trait, field.value);
    model.save_changes();
  });
  model.on(`change:${listing} change:${trait}`, fill);
  fill();
  return field;
}

// -- days -------------------------------------------------------------------------------------------------------------

function timeline(model, words) {
  const range = named(make("input", { type: "range", min: 0, step: 1, className: "cbm-map-days" }), words, "days");
  const dots = make("div", { className: "cbm-map-dots" });
  dots.setAttribute("aria-hidden", "true");
  const says = make("output", { className: "cbm-map-day" });
  let asked = "";
  let timer = 0;
  const looks = () => model.get("looks");
  const at = (day) => looks().findIndex((look) => look.day === day);
  const tell = () => {
    const look = looks()[range.value];
    says.textContent = look ? look.label : words.no_days;
    range.setAttribute("aria-valuetext", says.textContent);
  };
  const ask = () => {
    timer = 0;
    const day = looks()[range.value]?.day;
    if (!day || day === model.get("day")) return;
    asked = day;
    model.set("day", day);
    model.save_changes();
  };
  const move = (number) => {
    range.value = number;
    tell();
    if (asked === "" || asked === model.get("drawn")) ask();
    else if (!timer) timer = setTimeout(ask, PATIENCE);
  };
  const follow = () => {
    range.max = Math.max(looks().length - 1, 0);
    range.disabled = looks().length < 2;
    const number = at(model.get("day"));
    if (number >= 0 && !timer) range.value = number;
    tell();
  };
  const mark = () => {
    dots.replaceChildren(...looks().map((look) => make("i", { className: `cbm-map-${look.mark}`, title: look.label })));
    follow();
  };
  range.addEventListener("input", () => move(Number(range.value)));
  dots.addEventListener("click", (event) => {
    const number = [...dots.children].indexOf(event.target);
    if (number >= 0) move(number);
  });
  model.on("change:looks", mark);
  model.on("change:day", follow);
  model.on("change:drawn", () => {
    if (timer) {
      clearTimeout(timer);
      ask();
    }
  });
  mark();
  return { elements: [make("div", { className: "cbm-map-track" }, range, dots), says], range, move };
}

function player(model, words, days) {
  const button = make("button", { type: "button", className: "cbm-map-play" });
  let playing = false;
  let since = 0;
  const say = () => {
    button.textContent = playing ? "■" : "▶";
    named(button, words, playing ? "stop" : "play");
    button.setAttribute("aria-pressed", String(playing));
  };
  const next = () => {
    if (!playing || !button.isConnected) return;
    const last = Number(days.range.value) >= Number(days.range.max);
    const ready = model.get("drawn") === model.get("day") && !model.get("busy");
    if (ready && performance.now() - since >= SHOWN) {
      if (last) {
        playing = false;
        return say();
      }
      since = performance.now();
      days.move(Number(days.range.value) + 1);
    }
    setTimeout(next, 60);
  };
  button.addEventListener("click", () => {
    playing = !playing;
    if (playing && Number(days.range.value) >= Number(days.range.max)) days.move(0);
    since = performance.now();
    say();
    next();
  });
  say();
  return button;
}

// -- the map's own elements ---------------------------------------------------------------------------------------------

function swiper(model, words) {
  const bar = make("div", { className: "cbm-map-swipe", tabIndex: 0 });
  named(bar, words, "swipe");
  bar.setAttribute("role", "slider");
  bar.setAttribute("aria-valuemin", "0");
  bar.setAttribute("aria-valuemax", "100");
  const left = make("span", { className: "cbm-map-side" });
  const right = make("span", { className: "cbm-map-side" });
  bar.append(left, right);
  let share = 0.5;
  const put = (value) => {
    share = Math.min(Math.max(value, 0), 1);
    bar.setAttribute("aria-valuenow", String(Math.round(share * 100)));
  };
  bar.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -0.05, ArrowRight: 0.05, Home: -1, End: 1 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    put(share + by);
  });
  for (const kind of ["mousedown", "touchstart", "click", "dblclick"]) bar.addEventListener(kind, (event) => event.stopPropagation());
  bar.addEventListener("pointerdown", (event) => {
    event.stopPropagation();
    bar.setPointerCapture(event.pointerId);
  });
  bar.addEventListener("pointermove", (event) => {
    if (!bar.hasPointerCapture(event.pointerId)) return;
    const ground = bar.parentElement.getBoundingClientRect();
    put((event.clientX - ground.left) / ground.width);
  });
  const clip = (ground, image) => {
    const box = image.getBoundingClientRect();
    const hidden = ground.left + share * ground.width - box.left;
    image.style.clipPath = `inset(0 0 0 ${Math.max(hidden, 0)}px)`;
  };
  put(0.5);
  return {
    bar,
    draw(container) {
      const compares = model.get("against") !== "";
      bar.style.display = compares ? "" : "none";
      if (!compares) return;
      const ground = container.getBoundingClientRect();
      bar.style.left = `${share * 100}%`;
      left.textContent = model.get("drawn");
      right.textContent = model.get("against");
      container.querySelectorAll(".leaflet-cbmcompared-pane img").forEach((image) => clip(ground, image));
    },
  };
}

function attach(model, el, words, swipe) {
  let alive = true;
  const frame = () => {
    if (!alive) return;
    const root = el.closest(".cbm-map");
    const container = root?.querySelector(".leaflet-container");
    if (container) {
      if (swipe.bar.parentElement !== container) {
        container.append(swipe.bar);
        container.setAttribute("role", "region");
        container.setAttribute("aria-label", words.map);
      }
      root.classList.toggle("cbm-map-old", model.get("busy"));
      swipe.draw(container);
    }
    requestAnimationFrame(frame);
  };
  frame();
  return () => {
    alive = false;
    swipe.bar.remove();
  };
}

// ---------------------------------------------------------------------------------------------------------------------

function opacity(model, words) {
  const field = make("input", { type: "range", min: 0, max: 1, step: 0.05, value: model.get("opacity") });
  field.addEventListener("input", () => {
    model.set("opacity", Number(field.value));
    model.save_changes();
  });
  return labelled(words, "opacity", field);
}

function press(model, words, key, event) {
  const button = named(make("button", { type: "button", textContent: words[`${key}_short`] }), words, key);
  button.addEventListener("click", () => model.send({ event }));
  return button;
}

function sketch(model, words) {
  const button = make("button", { type: "button" });
  const tell = () => {
    const stage = model.get("sketch") || "none";
    button.textContent = `⬠ ${words[`sketch_${stage}_short`]}`;
    named(button, words, `sketch_${stage}`);
    button.setAttribute("aria-pressed", String(stage !== "none"));
  };
  button.addEventListener("click", () => model.send({ event: "sketch" }));
  model.on("change:sketch", tell);
  tell();
  return button;
}

function render({ model, el }) {
  const words = model.get("words");
  const days = timeline(model, words);
  const first = make("div", { className: "cbm-map-line" }, player(model, words, days), ...days.elements);
  const second = make(
    "div",
    { className: "cbm-map-line" },
    labelled(words, "layer", choice(model, "layer", "layers")),
    labelled(words, "compared", choice(model, "compared", "others")),
    labelled(words, "colour", choice(model, "colour", "colours")),
    opacity(model, words),
    press(model, words, "zoom", "zoom"),
    sketch(model, words),
  );
  const progress = make("div", { className: "cbm-map-progress" });
  progress.setAttribute("role", "status");
  const tell = () => {
    progress.textContent = model.get("progress");
  };
  model.on("change:progress", tell);
  tell();
  el.classList.add("cbm-map-bar");
  el.append(first, second, progress);
  return attach(model, el, words, swiper(model, words));
}

export default { render };
