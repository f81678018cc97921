// The page works without this script: a link shows how far the simulation is. With it, the page looks every two seconds, for
// ten minutes: a page that asks for ever would keep a login alive at which nobody is sitting.
"use strict";
(() => {
  const until = Date.now() + 600_000;
  const look = async () => {
    if (Date.now() > until) return;
    const shown = document.getElementById("simulation");
    if (!["waiting", "running"].includes(shown.dataset.state)) return;
    try {
      const answer = await fetch(location.pathname, { headers: { accept: "text/html" }, redirect: "error" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("simulation");
      if (!answer.ok || !fresh) return;
      const far = shown.querySelector("progress");
      const now = fresh.querySelector("progress");
      if (far && now) {
        // the button keeps the focus
        far.max = now.max;
        far.value = now.value;
        far.labels[0].firstChild.textContent = now.labels[0].firstChild.textContent;
      } else {
        shown.replaceWith(fresh);
        return;
      }
    } catch {
      // the server does not answer at the moment; the next look may
    }
    setTimeout(look, 2000);
  };
  setTimeout(look, 2000);
})();
