// Light or dark before the first paint, so this file is loaded in <head> and not deferred. Then the button that chooses.
"use strict";
(() => {
  const root = document.documentElement;
  const chosen = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const keep = (theme) => { try { localStorage.setItem("theme", theme); } catch { /* a private window keeps nothing */ } };
  const system = matchMedia("(prefers-color-scheme: dark)");
  const now = () => chosen() || (system.matches ? "dark" : "light");

  // Charts draw their colours themselves: they listen for `themechange`.
  const show = () => {
    root.classList.toggle("dark", now() === "dark");
    root.classList.toggle("light", now() === "light");
    document.dispatchEvent(new CustomEvent("themechange", { detail: now() }));
  };

  root.classList.add("js");
  show();
  system.addEventListener("change", show);
  addEventListener("storage", (event) => { if (event.key === "theme") show(); });

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-theme-toggle]")) {
      keep(now() === "dark" ? "light" : "dark");
      show();
    }
  });
})();
