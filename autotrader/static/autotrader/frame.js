// The frame's own: the folded list of places, and boxes that the keyboard moves. Deferred; nothing of it is needed to read a page.
"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // -- The list of places, folded on small screens: one list, one button in the bar above and one in the bar below -------
  let opener = null;
  const listOf = (fold) => document.getElementById(fold.getAttribute("aria-controls"));
  function unfold(fold, isOpen) {
    const list = listOf(fold);
    list.classList.toggle("web-open", isOpen);
    all("[data-fold]").filter((one) => listOf(one) === list).forEach((one) => one.setAttribute("aria-expanded", String(isOpen)));
    opener = isOpen ? fold : null;
  }
  document.addEventListener("click", (event) => {
    const fold = event.target.closest("[data-fold]");
    if (fold) unfold(fold, fold.getAttribute("aria-expanded") !== "true");
    else if (opener && !listOf(opener).contains(event.target)) unfold(opener, false);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !opener) return;
    const button = opener;
    unfold(button, false);
    button.focus();
  });

  // -- Boxes wider or higher than what they show: reached by Tab, moved by the arrows, and marked at the edge that hides more -
  const BOXES = ".desk-scroll, .web-lines, .desk-text, .web-tabs";
  const title = (box) => box.closest("section, article, details")?.querySelector("h2, h3, summary")?.textContent.trim().replace(/\s+/g, " ");
  function mark(box) {
    const right = box.scrollWidth - box.clientWidth, moves = right > 1 || box.scrollHeight - box.clientHeight > 1;
    box.toggleAttribute("data-more-left", box.scrollLeft > 1);
    box.toggleAttribute("data-more-right", right - box.scrollLeft > 1);
    if (moves === box.hasAttribute("data-moves")) return;
    box.toggleAttribute("data-moves", moves);
    if (moves) box.tabIndex = 0; else box.removeAttribute("tabindex");
    if (box.tagName !== "DIV") return; // a list stays a list
    if (moves) {
      box.setAttribute("role", "group");
      box.setAttribute("aria-label", title(box) || "Table");
    } else for (const name of ["role", "aria-label"]) box.removeAttribute(name);
  }
  const sizes = new ResizeObserver((changes) => changes.forEach((change) => {
    const box = change.target.closest(BOXES);
    if (box) mark(box);
  }));
  function watch(within) {
    for (const box of all(BOXES, within)) {
      mark(box);
      sizes.observe(box);
      if (box.firstElementChild) sizes.observe(box.firstElementChild);
    }
  }
  watch(document);
  document.addEventListener("scroll", (event) => { if (event.target.matches?.(BOXES)) mark(event.target); }, { capture: true, passive: true });

  // A panel's renewal brings new boxes: the one in which the keyboard stood is reached again.
  let stood = -1;
  document.addEventListener("htmx:beforeSwap", (event) => { stood = all(BOXES, event.detail.target).indexOf(document.activeElement); });
  document.addEventListener("htmx:afterSwap", (event) => {
    const boxes = all(BOXES, event.detail.target);
    watch(event.detail.target);
    if (stood >= 0) boxes[stood]?.focus({ preventScroll: true });
    stood = -1;
  });
})();
