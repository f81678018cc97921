// The page works without this script; with it, the answer to "what if" comes into its part of the page, and what was
// read before stays where it is.
"use strict";
(() => {
  const ask = async (form, button) => {
    const id = form.dataset.part;
    const words = button.textContent;
    button.textContent = "Working…";
    button.disabled = true;
    const answer = await fetch(form.action.split("#")[0], {
      method: "POST",
      headers: { accept: "text/html" },
      body: new URLSearchParams(new FormData(form)),
      redirect: "error",
    });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById(id)?.closest("section");
    if (!answer.ok || !fresh) throw new Error(words);
    document.getElementById(id).closest("section").replaceWith(fresh);
    (fresh.querySelector("[aria-invalid=true]") || fresh.querySelector("#asked"))?.focus();
  };
  document.addEventListener("submit", (event) => {
    const form = event.target;
    const button = form.querySelector("button");
    if (!form.dataset.part || !document.getElementById(form.dataset.part)) return;
    event.preventDefault();
    ask(form, button).catch(() => form.submit());
  });
})();
