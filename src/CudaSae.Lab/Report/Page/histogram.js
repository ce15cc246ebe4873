/* Draws counts between edges as steps. */
Report.figure("histogram", (body, figure) => {
    const {svg, element, axes, colours} = Report;
    const hidden = new Set(), plot = element("div", {className: "plot"});
    const log = element("input", {type: "checkbox", checked: figure.y.log, onchange: layout});
    const {edges} = figure;
    if (figure.series.length > 1) body.append(axes.legend(figure.series.map(s => s.name), hidden, layout));
    body.append(plot, element("div", {className: "controls"}, element("label", {}, log, " logarithmic counts")));

    function layout() {
        const shown = figure.series.map((series, i) => ({...series, i})).filter(s => !hidden.has(s.i));
        const x = Report.extent([edges], figure.x.log), y = Report.extent(shown.map(s => s.counts), log.checked);
        plot.replaceChildren();
        if (!x || !y) return plot.replaceChildren(axes.nothing());
        const low = log.checked ? y.low / 2 : Math.min(0, y.low);
        const frame = axes.frame(plot, body.clientWidth, axes.height(body.clientWidth),
            {axis: figure.x, extent: x, tight: true},
            {axis: {...figure.y, log: log.checked}, extent: {low, high: y.high}});
        for (const s of shown) {
            const d = steps(frame, s.counts);
            if (shown.length < 3)
                frame.picture.append(svg("path", {class: "area", fill: colours.series(s.i),
                    d: `${d}V${frame.bottom}Z`}));
            frame.picture.append(svg("path", {class: "curve", stroke: colours.series(s.i), d}));
        }
        axes.hover(frame.picture, px => {
            const bin = binAt(frame, px);
            return bin < 0 ? null
                : [`${axes.named(figure.x)} ${Report.show(edges[bin])} to ${Report.show(edges[bin + 1])}`,
                ...shown.map(s => ({colour: colours.series(s.i), text: `${s.name} ${Report.show(s.counts[bin])}`}))];
        });
    }

    const place = (frame, edge) => frame.x.shows(edge) ? Math.min(frame.right, Math.max(frame.left, frame.x.map(edge)))
        : edge > 0 ? frame.right : frame.left;

    const level = (frame, count) => frame.y.shows(count) ? Math.min(frame.bottom, frame.y.map(count)) : frame.bottom;

    function steps(frame, counts) {
        let d = `M${place(frame, edges[0]).toFixed(1)} ${frame.bottom}`;
        for (let i = 0; i < counts.length; i++)
            d += `V${level(frame, counts[i]).toFixed(1)}H${place(frame, edges[i + 1]).toFixed(1)}`;
        return `${d}V${frame.bottom}`;
    }

    function binAt(frame, px) {
        for (let i = 0; i + 1 < edges.length; i++)
            if (px >= place(frame, edges[i]) && px < place(frame, edges[i + 1])) return i;
        return -1;
    }

    return layout;
});
