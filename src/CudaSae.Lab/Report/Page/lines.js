/* Draws curves, points and yardsticks. */
Report.figure("lines", (body, figure) => {
    const {svg, element, axes, colours} = Report;
    const hidden = new Set(), plot = element("div", {className: "plot"}), note = element("div");
    const count = figure.series.length;
    if (count > 1)
        body.append(axes.legend(figure.series.map(s => s.name), hidden, layout, i => figure.series[i].yardstick));
    body.append(plot, note);

    function layout() {
        const shown = figure.series.map((series, i) => ({...series, i})).filter(s => !hidden.has(s.i));
        const given = values => values.filter(v => !Number.isNaN(v));       // NaN is a gap and not counted as left out
        const x = Report.extent(shown.map(s => given(s.x)), figure.x.log);
        const y = Report.extent(shown.map(s => given(s.y)), figure.y.log);
        plot.replaceChildren();
        note.replaceChildren(axes.leftOut((x?.out ?? 0) + (y?.out ?? 0)));
        if (!x || !y) return plot.replaceChildren(axes.nothing());
        const frame = axes.frame(plot, body.clientWidth, axes.height(body.clientWidth), {axis: figure.x, extent: x},
            {axis: figure.y, extent: y});
        for (const series of shown) drawSeries(frame, series);
        readOut(frame, shown);
    }

    function drawSeries(frame, series) {
        const style = {stroke: colours.series(series.i), class: `curve${series.yardstick ? " yardstick" : ""}`};
        if (!series.points) frame.picture.append(svg("path", {...style, d: path(frame, series)}));
        if (!series.points && !series.labels?.length && (series.yardstick || series.x.length > 12)) return;
        for (let j = 0; j < series.x.length; j++)
            if (frame.x.shows(series.x[j]) && frame.y.shows(series.y[j]))
                frame.picture.append(svg("circle", {r: 3.2, fill: style.stroke, class: series.yardstick ? "pale" : "",
                    cx: frame.x.map(series.x[j]).toFixed(1), cy: frame.y.map(series.y[j]).toFixed(1)}));
    }

    /* Connects the points. Where many fall on one pixel column, it draws the lowest and the highest. A missing number
       is a gap. */
    function path(frame, {x, y}) {
        const parts = [], dense = x.length > 4 * (frame.right - frame.left);
        let pen = false, column = NaN, low, high;
        function flush() {
            if (!dense || Number.isNaN(column)) return;
            parts.push(`${pen ? "L" : "M"}${column} ${low.toFixed(1)}V${high.toFixed(1)}`);
            [pen, column] = [true, NaN];
        }
        for (let i = 0; i < x.length; i++) {
            if (!frame.x.shows(x[i]) || !frame.y.shows(y[i])) { flush(); pen = false; continue; }
            const px = frame.x.map(x[i]), py = frame.y.map(y[i]);
            if (!dense) { parts.push(`${pen ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`); pen = true; continue; }
            if (Math.round(px) !== column) { flush(); [column, low, high] = [Math.round(px), py, py]; }
            [low, high] = [Math.min(low, py), Math.max(high, py)];
        }
        flush();
        return parts.join("");
    }

    /* The read-out shows the point nearest to the pointer or, if there are only curves, all curves at one x. */
    function readOut(frame, shown) {
        const cursor = svg("line", {class: "cursor", y1: frame.top, y2: frame.bottom, visibility: "hidden"});
        const mark = svg("circle", {class: "mark", r: 6, visibility: "hidden"});
        frame.picture.append(cursor, mark);
        const single = shown.some(s => s.points || s.labels?.length);
        axes.hover(frame.picture, (px, py) => {
            cursor.setAttribute("visibility", "hidden");
            mark.setAttribute("visibility", "hidden");
            if (Number.isNaN(px)) return null;
            return single ? nearestPoint(frame, shown, px, py, mark) : valuesAt(frame, shown, px, cursor);
        });
    }

    function nearestPoint(frame, shown, px, py, mark) {
        let best = 30 * 30, found = null;
        for (const s of shown)
            for (let j = 0; j < s.x.length; j++) {
                if (!frame.x.shows(s.x[j]) || !frame.y.shows(s.y[j])) continue;
                const distance = (frame.x.map(s.x[j]) - px) ** 2 + (frame.y.map(s.y[j]) - py) ** 2;
                if (distance < best) [best, found] = [distance, {s, j}];
            }
        if (!found) return null;
        const {s, j} = found;
        mark.setAttribute("cx", frame.x.map(s.x[j]));
        mark.setAttribute("cy", frame.y.map(s.y[j]));
        mark.setAttribute("visibility", "visible");
        return [{colour: colours.series(s.i), text: s.name}, ...s.labels?.[j] ? [s.labels[j]] : [],
            `${axes.named(figure.x)} ${Report.show(s.x[j])}`, `${axes.named(figure.y)} ${Report.show(s.y[j])}`];
    }

    function valuesAt(frame, shown, px, cursor) {
        let at = NaN, best = Infinity;
        for (const s of shown) {
            if (s.yardstick) continue;
            for (const x of s.x) {
                const distance = frame.x.shows(x) ? Math.abs(frame.x.map(x) - px) : Infinity;
                if (distance < best) [best, at] = [distance, x];
            }
        }
        if (Number.isNaN(at)) return null;
        cursor.setAttribute("x1", frame.x.map(at));
        cursor.setAttribute("x2", frame.x.map(at));
        cursor.setAttribute("visibility", "visible");
        return [`${axes.named(figure.x)} ${Report.show(at)}`, ...shown.map(s => {
            const j = s.yardstick ? 0 : s.x.indexOf(at);
            if (j < 0 || s.x.length === 0) return null;
            return {colour: colours.series(s.i), text: `${s.name} ${Report.show(s.y[j])}`};
        }).filter(Boolean)];
    }

    return layout;
});
