"use strict";
// The reader's name is typed once; the page follows the server unless somebody is typing.
const remember = () => {
  for (const field of document.querySelectorAll(".reader")) {
    if (!field.value) { field.value = localStorage.getItem("seganypet-reader") || ""; }
  }
};
document.addEventListener("change", (event) => {
  if (event.target.classList.contains("reader")) { localStorage.setItem("seganypet-reader", event.target.value); }
  event.target.closest("[data-live]")?.setAttribute("data-touched", "");
});
document.addEventListener("submit", (event) => {
  const { saved, name } = event.target.elements;
  const replaces = saved && name.value.trim() in JSON.parse(saved.value);
  if (replaces && !confirm(`${name.value.trim()} is saved for this study already. Replace it?`)) { event.preventDefault(); }
});
const follow = async () => {
  const answer = await fetch(location.pathname + location.search, { cache: "no-store" });
  const fresh = new DOMParser().parseFromString((await answer.text()).replace(/<style.*?<\/style>/s, ""), "text/html");
  const now = [...document.querySelectorAll("[data-live]")], next = [...fresh.querySelectorAll("[data-live]")];
  for (const part of next) {
    const old = now.find((one) => one.dataset.live === part.dataset.live);
    const busy = old && (old.contains(document.activeElement) || old.hasAttribute("data-touched"));
    if (old && !busy && old.innerHTML !== part.innerHTML) { old.innerHTML = part.innerHTML; }
    if (!old) { document.querySelector("main").append(part); }
  }
  remember();
};
remember();
setInterval(() => { if (!document.hidden) { follow().catch(() => {}); } }, 4000);
