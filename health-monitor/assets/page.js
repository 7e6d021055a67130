// Keeps the page up to date: asks for its parts every second and changes what changed. Without it the page is as it was served.
"use strict";
(() => {
  const EVERY_MS = 1000, LIMIT_MS = 5000, STANDS_MS = 10000, GLOW_MS = 2500;
  const link = document.getElementById("link"), clock = document.getElementById("clock");
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let lostAt = null, passAt = null, passSeen = 0;

  // Makes `shown` what `next` is, and touches nothing else: focus, selection and what is scrolled stay where the reader left them.
  function match(shown, next) {
    if (shown.isEqualNode(next)) return;
    if (shown.nodeType !== Node.ELEMENT_NODE || shown.nodeName !== next.nodeName) return shown.replaceWith(next);
    for (const { name } of [...shown.attributes]) if (!next.hasAttribute(name)) shown.removeAttribute(name);
    for (const { name, value } of next.attributes) if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
    const [here, there] = [[...shown.childNodes], [...next.childNodes]];
    there.forEach((child, n) => (here[n] ? match(here[n], child) : shown.append(child)));
    here.slice(there.length).forEach((child) => child.remove());
  }

  const owners = () => new Map([...document.querySelectorAll("tr[data-queue]")].map((row) => [row.dataset.queue, row.dataset.owner]));

  function put(html) {
    const next = new DOMParser().parseFromString(html, "text/html");
    const before = owners();
    for (const part of next.querySelectorAll("[data-part]")) {
      const shown = document.querySelector(`[data-part="${part.dataset.part}"]`);
      if (shown) match(shown, part);
    }
    for (const row of document.querySelectorAll("tr[data-queue]")) {
      const owner = before.get(row.dataset.queue);
      if (owner === undefined || owner === row.dataset.owner || still.matches) continue;
      row.animate([{ background: "var(--busy-ground)" }, {}], { duration: GLOW_MS, easing: "ease-out" });
    }
  }

  // The word is read aloud when it changes; the clock beside it is not.
  function tell(word, isLost) {
    if (link.textContent !== word) link.textContent = word;
    link.classList.toggle("lost", isLost);
    clock.textContent = isLost ? "" : new Date().toLocaleTimeString();
    document.body.classList.toggle("old", isLost);
  }

  function tellAnswer() {
    const { at, title } = document.querySelector('[data-part="monitor"]').dataset;
    if (at !== passAt) [passAt, passSeen] = [at, performance.now()];
    document.title = title;
    const stands = performance.now() - passSeen > STANDS_MS;
    tell(stands ? `the monitor answers but has not looked since ${new Date(at).toLocaleTimeString()}: what is shown is old` : "live", stands);
    lostAt = null;
  }

  function tellLost() {
    lostAt ??= new Date().toLocaleTimeString();
    document.title = "(?) Skein: no answer from the monitor";
    tell(`no answer from the monitor since ${lostAt}: what is shown is old`, true);
  }

  async function look() {
    try {
      const answer = await fetch("/page/parts", { cache: "no-store", signal: AbortSignal.timeout(LIMIT_MS) });
      if (!answer.ok) throw new Error(answer.status);
      put(await answer.text());
      tellAnswer();
    } catch {
      tellLost();
    }
    setTimeout(look, document.hidden ? 5 * EVERY_MS : EVERY_MS);
  }

  setTimeout(look, EVERY_MS);
})();
