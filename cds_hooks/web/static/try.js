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
  form.addEventListener("input", ({ target: request }) => {
    if (request.id !== "request") return;
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

  // Another sample patient is shown at once, with nothing sent. The page stays, and the field keeps the focus: who writes a
  // name into it passes other patients on the way (WCAG 3.2.2).
  const OF_PATIENT = [".who", "[name=carried]", "[name=service]", ".sent", ".got", "#drafted", "#ready"];
  const patient = byId("patient");
  let choosing = 0;
  patient.addEventListener("change", () => {
    clearTimeout(choosing);
    if (patient.value.startsWith("sample:")) choosing = setTimeout(showPatient, 200);
  });
  const showPatient = async () => {
    const chosen = patient.value;
    const body = new FormData(form);
    body.delete("file");
    body.set("do", "choose");
    const answer = await fetch("try", { method: "POST", body });
    if (!answer.ok || patient.value !== chosen) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const ready = byId("ready").value;
    for (const part of OF_PATIENT) document.querySelector(part).replaceWith(page.querySelector(part));
    byId("ready").value = ready; // may have been chosen in the meantime
    for (const answered of document.querySelectorAll(".part, .note, #protocol")) answered.remove();
  };

  // One press is one call.
  form.addEventListener("submit", (event) => {
    const pressed = event.submitter;
    if (!pressed) return;
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
