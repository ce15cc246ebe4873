/* Draws what all plots use: scales, the frame with its ticks, and the read-out beside the pointer. */
(() => {
    const {svg, element} = Report;

    /* Returns about `count` round numbers between two ends. */
    function rounds(low, high, count) {
        const raw = (high - low) / Math.max(1, count), unit = 10 ** Math.floor(Math.log10(raw));
        const step = [1, 2, 5, 10].map(m => m * unit).find(s => s >= raw * 0.999);
        const values = [];
        for (let i = Math.ceil(low / step - 1e-6); i * step <= high + step * 1e-6; i++) values.push(i * step);
        return {values, step};
    }

    function linearTicks(low, high, count) {
        const {values, step} = rounds(low, high, count), largest = Math.max(Math.abs(low), Math.abs(high));
        return values.map(v => ({v, text: Report.tick(v, step, largest)}));
    }

    function logTicks(low, high, count) {
        const from = Math.log10(low), to = Math.log10(high);
        if (to - from < 0.6) return linearTicks(low, high, count).filter(t => t.v > 0);
        const between = to - from < 1 ? [2, 3, 5, 7] : to - from < (count > 3 ? 2.2 : 1.5) ? [2, 5] : [];
        const first = Math.ceil(from - 1e-6), last = Math.floor(to + 1e-6);
        const every = Math.max(1, Math.ceil((last - first + 1) / count)), ticks = [];
        for (let e = first - 1; e <= last; e++) {
            if (e >= first && (between.length > 0 || (e - first) % every === 0))
                ticks.push({v: 10 ** e, text: Report.decade(e)});
            for (const m of between)
                if (m * 10 ** e >= low * 0.999 && m * 10 ** e <= high * 1.001)
                    ticks.push({v: m * 10 ** e, text: Report.tick(m * 10 ** e, 10 ** e, m * 10 ** e)});
        }
        // powers of ten come first, so that they stay where labels overlap
        return ticks.sort((a, b) => (Math.log10(b.v) % 1 === 0) - (Math.log10(a.v) % 1 === 0));
    }

    /* Maps numbers to pixels. extent holds the lowest and the highest shown value; the scale adds a small margin. */
    function scale(extent, log, from, to, tight) {
        let {low, high} = extent;
        if (log) {
            const room = tight ? 1 : low === high ? 2 : (high / low) ** 0.03;
            [low, high] = [low / room, high * room];
        } else {
            if (!tight && low >= 0 && low < 0.3 * high) low = 0;
            const room = tight ? 0 : low === high ? Math.abs(low) * 0.1 || 1 : (high - low) * 0.04;
            [low, high] = [low === 0 ? 0 : low - room, high + room];
        }
        if (!(high > low)) high = low + (Math.abs(low) || 1) * 1e-6;
        const [a, b] = log ? [Math.log10(low), Math.log10(high)] : [low, high], factor = (to - from) / (b - a);
        const map = v => from + ((log ? Math.log10(v) : v) - a) * factor;
        const invert = p => log ? 10 ** (a + (p - from) / factor) : a + (p - from) / factor;
        const ticks = count => log ? logTicks(low, high, count) : linearTicks(low, high, count);
        return {map, invert, ticks, low, high, log, shows: v => Number.isFinite(v) && (!log || v > 0)};
    }

    const named = axis => axis.unit && axis.unit !== axis.name ? `${axis.name} [${axis.unit}]` : axis.name;

    /* Adds an svg with both axes to `body`. x and y are {axis, extent, tight}. */
    function frame(body, width, height, x, y) {
        const top = 24, bottom = height - 40, textWidth = text => 7 * text.length;
        const yScale = scale(y.extent, y.axis.log, bottom, top, y.tight);
        const yTicks = apart(yScale.ticks(Math.max(2, Math.round((bottom - top) / 45))), yScale, () => 12);
        const left = 12 + Math.max(18, ...yTicks.map(t => textWidth(t.text))), right = width - 14;
        const xScale = scale(x.extent, x.axis.log, left, right, x.tight);
        const all = xScale.ticks(Math.max(2, Math.floor((right - left) / 75)));
        const xTicks = apart(all, xScale, t => textWidth(t.text));
        const picture = svg("svg", {width, height, viewBox: `0 0 ${width} ${height}`, role: "img"});
        for (const t of yTicks)
            picture.append(svg("line", {class: "grid", x1: left, x2: right, y1: yScale.map(t.v), y2: yScale.map(t.v)}),
                text(left - 6, yScale.map(t.v) + 4, t.text, "end"));
        for (const t of xTicks)
            picture.append(svg("line", {class: "grid", x1: xScale.map(t.v), x2: xScale.map(t.v), y1: top, y2: bottom}),
                text(xScale.map(t.v), bottom + 16, t.text, "middle"));
        picture.append(svg("line", {class: "axis", x1: left, x2: right, y1: bottom, y2: bottom}),
            svg("line", {class: "axis", x1: left, x2: left, y1: top, y2: bottom}));
        picture.append(text(4, 13, named(y.axis), "start", "name"),
            text(right, height - 6, named(x.axis), "end", "name"));
        body.append(picture);
        return {picture, x: xScale, y: yScale, left, right, top, bottom, width, height};
    }

    /* Keeps the ticks whose labels do not overlap; size(tick) is the length of a label along the axis. */
    function apart(ticks, scale, size) {
        const kept = [];
        for (const t of ticks) {
            const at = scale.map(t.v);
            if (kept.every(k => Math.abs(k.at - at) >= (k.size + size(t)) / 2 + 8)) kept.push({t, at, size: size(t)});
        }
        return kept.map(k => k.t);
    }

    function text(x, y, words, anchor, kind) {
        const made = svg("text", {x, y, "text-anchor": anchor, class: kind ?? "tick"});
        made.textContent = words;
        return made;
    }

    /* The page has one read-out, which shows lines of text. */
    const tip = element("div", {id: "tip", hidden: true});
    function say(event, lines) {
        if (!lines || lines.length === 0) return void (tip.hidden = true);
        if (!tip.isConnected) document.body.append(tip);
        tip.replaceChildren(...lines.map(line => typeof line === "string" ? element("div", {textContent: line})
            : element("div", {}, swatch(line.colour), element("span", {textContent: line.text}))));
        tip.hidden = false;
        const x = Math.min(event.clientX + 14, document.documentElement.clientWidth - tip.offsetWidth - 6);
        const below = event.clientY + 16 + tip.offsetHeight < innerHeight;
        tip.style.left = `${Math.max(4, x)}px`;
        tip.style.top = `${below ? event.clientY + 16 : Math.max(4, event.clientY - tip.offsetHeight - 12)}px`;
    }

    function swatch(colour) {
        const made = element("i", {className: "swatch"});
        made.style.background = colour;
        return made;
    }

    /* Calls handler with the pointer's position in the element; handler returns the lines to show, or null. */
    function hover(target, handler) {
        target.addEventListener("pointermove", event => {
            const box = target.getBoundingClientRect();
            say(event, handler(event.clientX - box.left, event.clientY - box.top, event));
        });
        target.addEventListener("pointerleave", event => { say(event, null); handler(NaN, NaN, event); });
    }

    /* Makes a legend whose buttons hide and show series. It calls changed() after each click. */
    function legend(names, hidden, changed, dashed) {
        return element("div", {className: "legend"}, ...names.map((name, i) => {
            const mark = swatch(Report.colours.series(i));
            if (dashed?.(i)) mark.className += " dashed";
            const button = element("button", {type: "button", "aria-pressed": "true"}, mark,
                element("span", {textContent: name}));
            button.onclick = () => {
                if (!hidden.delete(i)) hidden.add(i);
                button.setAttribute("aria-pressed", String(!hidden.has(i)));
                changed();
            };
            return button;
        }));
    }

    const nothing = words => element("p", {className: "nothing", textContent: words ?? "No value is finite."});
    const leftOut = count => element("p", {className: "note", textContent: count === 0 ? ""
        : `${Report.show(count)} value${count === 1 ? " is" : "s are"} not shown: not finite, or not positive on a `
            + "logarithmic axis."});
    const height = width => Math.round(Math.min(340, Math.max(230, width * 0.55)));

    Object.assign(Report, {axes: {scale, frame, hover, legend, nothing, leftOut, height, text, named, swatch}});
})();
