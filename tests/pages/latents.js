/* Performs a reader's actions on the latents of a page and records the result. LatentPageTests.cs runs it after the
   page's own script. */
(async () => {
    const seen = [], root = document.documentElement;
    const pause = () => new Promise(done => setTimeout(done, 200));
    const find = selector => document.querySelector(`.latents ${selector}`);
    const rows = () => [...document.querySelectorAll(".latents .spacer .row")];
    const heads = () => [...document.querySelectorAll(".latents .header button")];
    const head = name => heads().find(h => h.textContent.startsWith(name));
    const title = () => find(".page h3").textContent;
    const say = line => { seen.push(line); root.dataset.seen = seen.join("\n"); };
    async function type(input, text) {
        input.value = text;
        input.dispatchEvent(new Event("input"));
        await pause();
    }
    const press = async key => { find(".list").dispatchEvent(new KeyboardEvent("keydown", {key})); await pause(); };
    try {
        const panel = () => document.querySelector(".latents");
        for (let tries = 0; tries < 50 && !panel()?.dataset.shown; tries++) await pause();
        say(`shown ${panel().dataset.shown}`);
        say(`errors ${root.dataset.errors ?? "none"}`);
        say(`columns ${heads().map(h => h.textContent).join(",")}`);
        head("max").click();
        say(`by max ${rows()[0].dataset.latent}`);
        head("curl").click();
        say(`by curl ${rows()[0].dataset.latent}`);
        location.hash = "#latent=3";
        await pause();
        say(`linked ${title()}`);
        say(`contexts ${document.querySelectorAll(".latents .contexts li").length}`);
        say(`scripts ${document.querySelectorAll(".latents script, .latents b").length}`);
        const escaped = find(".page").textContent.includes("\\u{202e}") && !panel().textContent.includes("\u202e");
        say(`moves escaped ${escaped}`);
        const search = find("input[type=search]");
        await type(search, "CATs");
        say(`found ${panel().dataset.shown}`);
        await type(search, "#5");
        say(`number ${rows().map(row => row.dataset.latent)}`);
        await type(search, "");
        head("latent").click();
        Report.openLatent(8);
        await press("ArrowDown");
        say(`opened ${title()} ${location.hash}`);
        find("input[type=checkbox]").click();
        say(`silent ${panel().dataset.shown}`);
        await type(find("label input"), "1.5");
        say(`dense ${panel().dataset.shown}`);
        const old = panel();
        await Report.refresh([]);
        for (let tries = 0; tries < 50 && !(panel() !== old && panel()?.dataset.shown); tries++) await pause();
        say(`refreshed ${document.querySelectorAll(".latents").length}`);
    }
    catch (error) { say(`failed ${error.stack}`); }
})();
