// Writes what is chosen into the address of the page. Only where the page is ours: JupyterLab's address is its own.

function write(values) {
  const address = new URL(window.location.href);
  for (const [name, value] of Object.entries(values)) {
    if (value === "") address.searchParams.delete(name);
    else address.searchParams.set(name, value);
  }
  if (address.href !== window.location.href) window.history.replaceState(window.history.state, "", address);
}

export default {
  initialize({ model }) {
    if (!model.get("own")) return;
    const follow = () => write(model.get("written"));
    model.on("change:written", follow);
    follow();
  },
  render({ el }) {
    el.style.display = "none";
  },
};
