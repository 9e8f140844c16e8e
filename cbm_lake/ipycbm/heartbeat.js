// Watches the process of the page: a banner says that it has ended or cannot be reached, and every few seconds, while
// somebody looks, it is told that somebody does.

const BEAT = 2000; // milliseconds
const PATIENCE = 1500; // for a connection that comes back at once
const ENDED = new Set(["dead", "terminating", "restarting", "autorestarting"]);

function banner(model) {
  const box = document.createElement("div");
  box.className = "cbm-banner";
  box.setAttribute("role", "alert");
  box.hidden = true;
  const words = document.createElement("span");
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = model.get("texts").reload;
  button.addEventListener("click", () => window.location.reload());
  box.append(words, button);
  return { box, words, button };
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
    const { box, words, button } = banner(model);
    const isFirst = document.querySelector(".cbm-banner") === null;
    if (isFirst) document.body.append(box); // not in here: a tab that is not in sight would hide it
    document.querySelector(".cbm-page")?.setAttribute("role", "main");
    let ended = false;
    const say = (what) => {
      if (ended) return;
      ended = what === "dead";
      words.textContent = what ? model.get("texts")[what] : "";
      button.hidden = what !== "dead";
      box.hidden = !what;
      document.documentElement.dataset.cbmProcess = what || "alive"; // other parts switch their buttons off by it
      document.dispatchEvent(new CustomEvent("cbm-process", { detail: what || "alive" }));
    };
    const stop = watch(model, say);
    const beat = setInterval(() => {
      if (!document.hidden && !ended && el.isConnected) model.send({ kind: "beat" });
    }, BEAT);
    return () => {
      clearInterval(beat);
      stop();
      box.remove();
    };
  },
};
