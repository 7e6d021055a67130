// Keeps the page up to date: asks for its parts every second and puts in those that changed. Without it the page is as it was served.
"use strict";
(() => {
  const EVERY_MS = 1000, LIMIT_MS = 5000;
  const link = document.getElementById("link");
  let since = null;

  const ownerOf = (root) => new Map([...root.querySelectorAll("tr[data-queue]")].map((row) => [row.dataset.queue, row.dataset.owner]));

  function put(html) {
    const next = new DOMParser().parseFromString(html, "text/html");
    const before = ownerOf(document);
    for (const part of next.querySelectorAll("[data-part]")) {
      const shown = document.querySelector(`[data-part="${part.dataset.part}"]`);
      if (!shown || shown.innerHTML === part.innerHTML) continue;
      // Where the reader has scrolled a table to stays.
      const lefts = [...shown.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
      shown.replaceChildren(...part.childNodes);
      shown.querySelectorAll(".scroll").forEach((box, n) => { box.scrollLeft = lefts[n] || 0; });
    }
    for (const row of document.querySelectorAll("tr[data-queue]")) {
      const owner = before.get(row.dataset.queue);
      if (owner !== undefined && owner !== row.dataset.owner) row.classList.add("new");
    }
  }

  function told(lost) {
    if (!lost) since = null;
    else since ??= new Date().toLocaleTimeString();
    link.classList.toggle("lost", Boolean(lost));
    link.textContent = lost ? `no answer from the monitor since ${since}: what is shown is old` : `live · ${new Date().toLocaleTimeString()}`;
  }

  async function look() {
    try {
      const answer = await fetch("/page/parts", { cache: "no-store", signal: AbortSignal.timeout(LIMIT_MS) });
      if (!answer.ok) throw new Error(answer.status);
      put(await answer.text());
      told(false);
    } catch {
      told(true);
    }
    setTimeout(look, document.hidden ? 5 * EVERY_MS : EVERY_MS);
  }

  setTimeout(look, EVERY_MS);
})();
