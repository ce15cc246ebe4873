// A run in progress: asks the server that the page came from for newer figures while the page is visible.
(() => {
  const pause = 2000; // ms
  const body = document.body;
  if (!body.dataset.live) return;
  let asking = false, shown = "";

  async function ask() {
    if (document.hidden || asking) return;
    asking = true;
    try {
      const answer = await fetch("/chapters.json");
      if (!answer.ok) throw new Error(answer.status);
      const text = await answer.text();
      if (text !== shown) Report.refresh?.(JSON.parse(text));
      shown = text;
      body.dataset.live = "running";
    } catch {
      body.dataset.live = "ended"; // or not there for the moment: what was drawn stays
    } finally {
      asking = false;
    }
  }

  setInterval(ask, pause);
  document.addEventListener("visibilitychange", ask);
  addEventListener("load", ask); // when what the page itself holds has been drawn
})();
