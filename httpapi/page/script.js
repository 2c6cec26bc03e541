"use strict";
// Nothing here is needed to read the page: it searches, remembers the language, puts the
// server's own address into the examples, and copies them.
const search = document.getElementById("search");
const items = [...document.querySelectorAll("nav [data-find]")];
const find = () => {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const item of items) {
    const text = item.dataset.find.toLowerCase();
    item.hidden = !words.every((word) => text.includes(word));
    if (!item.hidden) shown++;
  }
  for (const section of document.querySelectorAll("nav section")) section.hidden = !section.querySelector("li:not([hidden])");
  document.getElementById("nothing").hidden = shown > 0;
};
search.hidden = false;
search.addEventListener("input", find);
search.addEventListener("keydown", (event) => {
  if (event.key === "Enter") document.querySelector("nav section li:not([hidden]) a")?.click();
  if (event.key === "Escape") { search.value = ""; find(); search.blur(); }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== search) { event.preventDefault(); search.focus(); }
});
const menu = document.getElementById("menu");
document.querySelector("nav").addEventListener("click", (event) => { if (event.target.closest("a")) menu.checked = false; });

const languages = [...document.getElementsByName("language")];
let stored = null;
try { stored = localStorage.getItem("language"); } catch {}
for (const input of languages) {
  if (input.id === stored) input.checked = true;
  input.addEventListener("change", () => { try { localStorage.setItem("language", input.id); } catch {} });
}

for (const pre of document.querySelectorAll(".side pre")) {
  pre.textContent = pre.textContent.replaceAll("http://127.0.0.1:8071", location.origin);
  if (!navigator.clipboard) continue;
  const button = document.createElement("button");
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(pre.textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  pre.before(button);
}

const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    document.querySelector("nav a.here")?.classList.remove("here");
    const link = document.querySelector(`nav a[href="#${CSS.escape(entry.target.id)}"]`);
    link?.classList.add("here");
    if (link && !matchMedia("(max-width: 60rem)").matches) link.scrollIntoView({ block: "nearest" });
  }
}, { rootMargin: "-10% 0px -80% 0px" });
for (const article of document.querySelectorAll("main article[id]")) seen.observe(article);
