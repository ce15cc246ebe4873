// Fetches newer figures of a run in progress from the page's server while the page is visible.
(() => {
  const pause = 2000; // ms
  const body = document.body;
  if (!body.dataset.live) return;
  let polling = false, shown = "";

  async function poll() {
    if (document.hidden || polling) return;
    polling = true;
    try {
      const answer = await fetch("/chapters.json");
      if (!answer.ok) throw new Error(answer.status);
      const text = await answer.text();
      if (text !== shown) Report.refresh?.(JSON.parse(text));
      shown = text;
      body.dataset.live = "running";
    } catch {
      body.dataset.live = "ended"; // or the server cannot be reached for now; the drawn figures stay
    } finally {
      polling = false;
    }
  }

  setInterval(poll, pause);
  document.addEventListener("visibilitychange", poll);
  addEventListener("load", poll); // after the page has drawn its own figures
})();
