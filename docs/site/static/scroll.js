// What scrolls sideways can be reached by the keyboard, where the browser does not see to that by itself.
document.addEventListener("DOMContentLoaded", () => {
  for (const box of document.querySelectorAll("article :is(pre, .table-wrapper, .math)")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }
});
