// Watches the process of the page: a banner says that it has ended or cannot be reached, and every few seconds, while
// somebody looks, it is told that somebody does.

const BEAT = 2000; // milliseconds
const PATIENCE = 1500; // for a connection that comes back at once
const ENDED = new Set(["dead", "terminating", "restarting", "autorestarting"]);

// One banner for the whole page, whichever of its widgets says something; the last of them takes it away. Each widget has
// these functions of its own, so how many there are is written on the banner.
function enter() {
  let box = document.querySelector(".cbm-banner");
  if (!box) {
    box = document.createElement("div");
    box.className = "cbm-banner";
    box.setAttribute("role", "alert");
    box.hidden = true;
    const button = document.createElement("button");
    button.type = "button";
    button.addEventListener("click", () => window.location.reload());
    box.append(document.createElement("span"), button);
    document.body.append(box); // not in a widget: a tab that is not in sight would hide it
  }
  box.dataset.users = Number(box.dataset.users ?? 0) + 1;
  return box;
}

function leave(box) {
  box.dataset.users -= 1;
  if (box.dataset.users === "0") box.remove();
}

function tell(box, what, texts) {
  const [words, button] = box.children;
  words.textContent = what ? texts[what] : "";
  button.textContent = texts.reload;
  button.hidden = what !== "dead";
  box.hidden = !what;
  document.documentElement.dataset.cbmProcess = what || "alive"; // other parts switch their buttons off by it
}

function watch(model, say) {
  const kernel = model.widget_manager?.kernel;
  if (!kernel) return () => {};
  let lost = null;
  const status = () => {
    if (ENDED.has(kernel.status)) say("dead");
  };
  const connection = () => {
    clearTimeout(lost);
    if (kernel.connectionStatus === "connected") say("");
    else lost = setTimeout(() => say("lost"), PATIENCE);
  };
  const disposed = () => say("dead");
  kernel.statusChanged.connect(status);
  kernel.connectionStatusChanged.connect(connection);
  kernel.disposed.connect(disposed);
  return () => {
    clearTimeout(lost);
    kernel.statusChanged.disconnect(status);
    kernel.connectionStatusChanged.disconnect(connection);
    kernel.disposed.disconnect(disposed);
  };
}

export default {
  render({ model, el }) {
    const box = enter();
    document.querySelector(".cbm-page")?.setAttribute("role", "main");
    let ended = false;
    const stop = watch(model, (what) => {
      if (ended) return;
      ended = what === "dead";
      tell(box, what, model.get("texts"));
    });
    const beat = setInterval(() => {
      if (!document.hidden && !ended && el.isConnected) model.send({ kind: "beat" });
    }, BEAT);
    return () => {
      clearInterval(beat);
      stop();
      leave(box);
    };
  },
};
