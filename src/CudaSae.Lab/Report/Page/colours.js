/* Colours that colour-blind readers can tell apart: for series, a sequential map and a diverging map. */
(() => {
    const viridis = [[68, 1, 84], [72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142], [31, 158, 137],
        [53, 183, 121], [110, 206, 88], [181, 222, 43], [253, 231, 37]];
    const blueRed = [[33, 102, 172], [103, 169, 207], [209, 229, 240], [247, 247, 247], [253, 219, 199], [239, 138, 98],
        [178, 24, 43]];

    function at(map, share) {
        const place = Math.min(1, Math.max(0, share)) * (map.length - 1);
        const i = Math.min(map.length - 2, Math.floor(place)), t = place - i;
        return map[i].map((v, c) => Math.round(v + (map[i + 1][c] - v) * t));
    }

    const series = i => `var(--series-${i % 8})`;
    const probe = Report.element("span", {hidden: true});

    /* Returns a variable of the style sheet as [red, green, blue] in the current theme. */
    function variable(name) {
        if (!probe.isConnected) document.body.append(probe);
        probe.style.color = `var(${name})`;
        return getComputedStyle(probe).color.match(/[\d.]+/g).slice(0, 3).map(Number);
    }

    /* Maps numbers between two ends to colours. A range that is symmetric about 0 uses the diverging map. */
    function scale(low, high, log) {
        const map = low < 0 && Math.abs(low + high) < 1e-6 * high ? blueRed : viridis;
        const [from, to] = log ? [Math.log10(low), Math.log10(high)] : [low, high];
        const share = v => to > from ? ((log ? Math.log10(v) : v) - from) / (to - from) : 0.5;
        return {low, high, log, share, of: v => at(map, share(v)), map: t => at(map, t)};
    }

    const css = ([r, g, b]) => `rgb(${r},${g},${b})`;

    /* Draws the scale as a bar with numbers below it. */
    function legend(colour, name) {
        const stops = Array.from({length: 11}, (_, i) => css(colour.map(i / 10))).join(",");
        const middle = colour.log ? Math.sqrt(colour.low * colour.high) : (colour.low + colour.high) / 2;
        const bar = Report.element("div", {className: "bar"});
        bar.style.background = `linear-gradient(to right, ${stops})`;
        return Report.element("div", {className: "colours"},
            Report.element("span", {className: "name", textContent: name}),
            Report.element("div", {className: "scale"}, bar,
                Report.element("div", {className: "ends"}, ...[colour.low, middle, colour.high]
                    .map(v => Report.element("span", {textContent: Report.show(v, 3)})))));
    }

    Object.assign(Report, {colours: {series, variable, scale, css, legend}});
})();
