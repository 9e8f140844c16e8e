// The decision bar: buttons and keys. What is pressed is sent with the number of what was on the screen at that moment;
// the process refuses it where that is no longer what it has drawn.

const FIELDS = "input, textarea, select, [contenteditable=''], [contenteditable='true'], [role='textbox']";

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function button(label, tip, key, press) {
  const made = make("button", { type: "button", title: key ? `${tip} (${key})` : tip }, make("span", { textContent: label }));
  if (key) {
    made.append(" ", make("kbd", { textContent: key }));
    made.setAttribute("aria-keyshortcuts", key);
  }
  made.addEventListener("click", press);
  return made;
}

function help(model) {
  const words = model.get("words");
  const dialog = make("dialog", { className: "cbm-keys" });
  const fill = () => {
    const rows = model.get("hints").map(([key, what]) => make("tr", {}, make("td", {}, make("kbd", { textContent: key })), make("td", { textContent: what })));
    const shut = make("button", { type: "button", textContent: words.close });
    shut.addEventListener("click", () => dialog.close());
    const title = make("h2", { id: "cbm-keys-title", textContent: words.keys });
    dialog.replaceChildren(title, make("table", {}, make("tbody", {}, ...rows)), shut);
    dialog.setAttribute("aria-labelledby", "cbm-keys-title");
  };
  return {
    dialog,
    toggle() {
      if (dialog.open) return dialog.close();
      fill();
      dialog.showModal();
    },
  };
}

function save(content, buffers) {
  const blob = new Blob([buffers[0]], { type: content.type });
  const link = make("a", { href: URL.createObjectURL(blob), download: content.name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

const SYSTEM = window.matchMedia("(prefers-color-scheme: dark)");
const THEME = "cbm-lake-theme"; // of this browser

function paint(model, el, own) {
  const theme = model.get("theme");
  const dark = theme === "dark" || (theme === "auto" && SYSTEM.matches);
  const roots = own ? [document.documentElement] : [el.closest(".cbm-bench")];
  for (const root of roots) if (root) root.dataset.cbmTheme = dark ? "dark" : "light";
  if (model.get("dark") !== dark) {
    model.set("dark", dark);
    model.save_changes();
  }
}

function remembered() {
  try {
    return window.localStorage.getItem(THEME);
  } catch {
    return null;
  }
}

function remember(theme) {
  try {
    window.localStorage.setItem(THEME, theme);
  } catch {
    // a browser that keeps nothing
  }
}

// The page fills the window; in a notebook it fits into the part of it that can be seen.
function fit(el, own) {
  const root = el.closest(".cbm-bench");
  if (!root || root.offsetParent === null) return;
  const seen = own ? window.innerHeight - root.getBoundingClientRect().top - window.scrollY - 6 : (root.closest(".jp-WindowedPanel-outer, .jp-Notebook")?.clientHeight ?? 860) - 60;
  root.style.setProperty("--cbm-height", `${Math.max(560, Math.round(seen))}px`);
  root.classList.toggle("cbm-narrow", root.clientWidth < 1360);
  root.dataset.lmSuppressShortcuts = "true"; // JupyterLab's own keys
}

function isTyping(target) {
  return target instanceof Element && target.closest(FIELDS) !== null;
}

export default {
  render({ model, el }) {
    const words = model.get("words");
    const isOwn = model.get("own");
    el.classList.add("cbm-bar");
    el.setAttribute("role", "region");
    el.setAttribute("aria-label", words.decision);
    el.id = "cbm-decision";
    el.tabIndex = -1;
    const what = make("strong", { className: "cbm-bar-what" });
    const standing = make("span", { className: "cbm-bar-standing" });
    const progress = make("span", { className: "cbm-bar-progress", title: words.decided_tip });
    const choices = make("div", { className: "cbm-bar-choices" });
    choices.setAttribute("role", "group");
    choices.setAttribute("aria-label", words.decision);
    const note = make("input", { type: "text", className: "cbm-bar-note", title: words.note_tip, placeholder: words.note });
    note.setAttribute("aria-label", words.note);
    const said = make("div", { className: "cbm-bar-said" });
    said.setAttribute("role", "status");
    const keys = help(model);
    const isOn = () => el.isConnected && el.offsetParent !== null && document.documentElement.dataset.cbmProcess !== "dead";
    const decide = (choice) => {
      if (!isOn()) return;
      model.send({ kind: "decide", choice, number: model.get("bound").number ?? 0, note: note.value });
    };
    const undo = button(words.undo, words.undo_tip, "u", () => isOn() && model.send({ kind: "undo" }));
    const report = button(words.pdf, words.pdf_tip, "", () => {
      if (isOn()) model.send({ kind: "report", number: model.get("bound").number ?? 0 });
    });
    const link = button(words.link, words.link_tip, "", async () => {
      await navigator.clipboard?.writeText(window.location.href);
      said.textContent = words.copied;
    });
    const show = button(words.keys, words.keys_tip, "?", () => keys.toggle());
    if (!isOwn) link.hidden = true;
    const others = make("div", { className: "cbm-bar-others" }, undo, report, link, show);
    el.append(
      make("div", { className: "cbm-bar-line" }, what, standing, said, progress),
      make("div", { className: "cbm-bar-line" }, choices, note, others),
      keys.dialog,
    );

    let pressed = {};
    const offer = () => {
      pressed = {};
      choices.replaceChildren(
        ...model.get("choices").map(({ name, key, label, tip }) => {
          pressed[key] = name;
          const made = button(label, tip, key, () => decide(name));
          made.dataset.choice = name;
          return made;
        }),
      );
      follow();
    };
    const follow = () => {
      const locked = model.get("locked");
      what.textContent = model.get("what");
      standing.textContent = model.get("standing");
      progress.textContent = model.get("progress");
      for (const each of choices.children) each.disabled = locked !== "";
      report.disabled = locked !== "";
      undo.disabled = !model.get("undoable");
      const line = locked || model.get("said");
      if (said.textContent !== line) said.textContent = line;
      el.classList.toggle("cbm-locked", locked !== "");
      el.dataset.number = model.get("bound").number ?? 0;
      el.dataset.pid = model.get("bound").pid ?? "";
    };
    const empty = () => {
      note.value = "";
    };
    model.on("change:choices", offer);
    for (const name of ["locked", "what", "standing", "progress", "said", "bound", "undoable"]) model.on(`change:${name}`, follow);
    const hear = (content, buffers) => {
      if (content.kind === "file") save(content, buffers);
      if (content.kind === "recorded") empty();
    };
    model.on("msg:custom", hear);
    // a note belongs to the parcel for which it was typed
    let noted = model.get("bound").pid;
    model.on("change:bound", () => {
      const pid = model.get("bound").pid;
      if (pid && pid !== noted) {
        noted = pid;
        empty();
      }
    });

    const onKey = (event) => {
      if (!isOn() || keys.dialog.open) return;
      const root = el.closest(".cbm-bench");
      const isInside = event.target instanceof Element && root?.contains(event.target);
      if (!isOwn && !isInside) return;
      if (isTyping(event.target)) {
        if (event.key === "Escape") {
          event.target.blur();
          root?.focus({ preventScroll: true });
        }
        return;
      }
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target instanceof Element && event.target.closest("[role='tab'], dialog")) return;
      const key = event.key;
      if (pressed[key]) decide(pressed[key]);
      else if (key === "u") undo.click();
      else if (key === "?") keys.toggle();
      else if (key === "m") note.focus();
      else if (key === "N") model.send({ kind: "next" });
      else if (key === "/") root?.querySelector(".cbm-worklist-search, input[type='search']")?.focus();
      else if (key === "ArrowUp" || key === "ArrowDown") {
        if (event.defaultPrevented || event.target.closest("[role='grid'], [role='listbox'], [role='slider'], table")) return;
        model.send({ kind: "step", by: key === "ArrowUp" ? -1 : 1 });
      } else if (key === "ArrowLeft" || key === "ArrowRight") {
        if (event.defaultPrevented || event.target.closest("[role='listbox'], [role='slider'], .leaflet-container, .noUi-handle")) return;
        model.send({ kind: "day", by: key === "ArrowLeft" ? -1 : 1 });
      } else return;
      event.preventDefault();
      event.stopPropagation();
    };
    document.addEventListener("keydown", onKey);
    const colour = () => paint(model, el, isOwn);
    const chosen = () => {
      remember(model.get("theme"));
      colour();
    };
    const size = () => fit(el, isOwn);
    const sizes = new ResizeObserver(size);
    model.on("change:theme", chosen);
    SYSTEM.addEventListener("change", colour);
    window.addEventListener("resize", size);
    offer();
    requestAnimationFrame(() => {
      const root = el.closest(".cbm-bench");
      if (root) {
        root.tabIndex = -1;
        sizes.observe(root.parentElement);
      }
      const theme = remembered();
      if (theme && theme !== model.get("theme")) {
        model.set("theme", theme);
        model.save_changes();
      }
      colour();
      size();
    });
    return () => {
      document.removeEventListener("keydown", onKey);
      SYSTEM.removeEventListener("change", colour);
      window.removeEventListener("resize", size);
      sizes.disconnect();
    };
  },
};
