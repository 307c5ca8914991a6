// The few things that pages need beside htmx: `/` to search, dialogs and what changes behind them, hiding. Without it every page works too.
"use strict";

const dialog = document.getElementById("dialog");
let changed = false;

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, dialog[open]")) return;
  const term = document.getElementById("term");
  if (term) {
    event.preventDefault();
    term.focus();
    term.select();
  }
});

document.addEventListener(
  "toggle",
  (event) => {
    if (event.target.matches(".unmask[open]")) event.target.querySelector("input[name=reason]").focus();
  },
  true,
);

if (dialog) {
  document.addEventListener("htmx:after:swap", () => {
    if (dialog.querySelector("[data-changed]")) changed = true;
    if (dialog.firstElementChild && !dialog.open) dialog.showModal();
    const first = dialog.open && (dialog.querySelector("[autofocus]") || dialog.querySelector("h1"));
    if (first && !dialog.contains(document.activeElement)) first.focus();
  });
  document.addEventListener("click", (event) => {
    const close = event.target.closest("[data-close]");
    if (close && dialog.contains(close)) {
      event.preventDefault();
      dialog.close();
    } else if (event.target === dialog) {
      dialog.close(); // beside it
    }
  });
  dialog.addEventListener("close", () => {
    dialog.replaceChildren();
    if (changed) location.reload();
  });
}

// What is shown in full goes after its time, though nobody answers; by the clock on the wall, since machines sleep.
const shownSince = new WeakMap();
setInterval(() => {
  for (const shown of document.querySelectorAll("[data-unmasked]")) {
    if (!shownSince.has(shown)) shownSince.set(shown, Date.now());
    if (Date.now() - shownSince.get(shown) < shown.dataset.unmasked * 1000) continue;
    for (const full of shown.querySelectorAll("[data-full]")) full.textContent = "•••";
    shown.querySelector(".unmasked")?.remove();
    shown.removeAttribute("data-unmasked");
  }
}, 500);

document.addEventListener("htmx:error", () => {
  const said = document.getElementById("said");
  if (said) said.textContent = "…";
});
