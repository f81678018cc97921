// The tester's page works without this script; with it, names are offered while you type and mistakes in the JSON show at once.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const form = byId("bench");

  // Names of drugs and tests, asked 200 ms after the last key.
  const order = byId("order");
  const names = byId("orders");
  let waiting = 0;
  order.addEventListener("input", () => {
    clearTimeout(waiting);
    const text = order.value.trim();
    if (text.length < 2) return;
    waiting = setTimeout(async () => {
      const answer = await fetch(`try/orders?q=${encodeURIComponent(text)}`);
      if (!answer.ok || order.value.trim() !== text) return;
      const found = (await answer.json()).names;
      names.replaceChildren(...found.map((name) => Object.assign(document.createElement("option"), { value: name })));
    }, 200);
  });
  order.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    byId("add").click();
  });

  // The request is sent as it stands, broken or not; whether it is JSON is said beside it.
  const request = byId("request");
  if (request) {
    request.addEventListener("input", () => {
      let fault = "";
      try {
        JSON.parse(request.value);
      } catch (error) {
        fault = `This is no JSON: ${error.message}. It is sent as it stands all the same.`;
      }
      request.toggleAttribute("aria-invalid", false);
      if (fault) request.setAttribute("aria-invalid", "true");
      byId("request-said").textContent = fault;
    });
  }

  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const source = byId(button.dataset.copy);
      source.select();
      await navigator.clipboard.writeText(source.value);
      button.textContent = "Copied";
    });
  }

  // Another sample patient is shown at the top at once, with nothing sent: the page of the form as it stands then.
  const patient = byId("patient");
  const shown = patient.value;
  patient.addEventListener("change", () => {
    if (patient.value.startsWith("sample:") && patient.value !== shown) byId("choose").click();
  });

  // One press is one call.
  form.addEventListener("submit", (event) => {
    const pressed = event.submitter;
    if (!pressed || pressed.value === "save") return;
    setTimeout(() => {
      pressed.textContent = "Working…";
      for (const button of form.querySelectorAll("button")) button.disabled = true;
    });
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });

  const aim = byId("problem") || (location.hash && byId(location.hash.slice(1)));
  if (aim && aim.tabIndex === -1) aim.focus({ preventScroll: aim.id !== "problem" });
})();
