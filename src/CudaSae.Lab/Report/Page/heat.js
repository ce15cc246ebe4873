/* Draws a matrix as coloured cells, with the first row at the top. */
Report.figure("heat", (body, figure) => {
    const {svg, element, axes, colours} = Report;
    const {rows, columns, values} = figure, log = figure.colour.log, extent = Report.extent([values], log);
    if (!extent) return void body.append(axes.nothing());
    const colour = colours.scale(figure.from ?? extent.low, figure.to ?? extent.high, log);
    const plot = element("div", {className: "plot"});
    body.append(plot, colours.legend(colour, axes.named(figure.colour)), axes.leftOut(extent.out));

    function layout() {
        const width = body.clientWidth, longest = texts => Math.max(0, ...texts.map(t => t.length)) * 7;
        const left = Math.min(width * 0.35, 10 + longest(rows)), right = width - 12;
        const cell = (right - left) / columns.length;
        const turned = longest(columns) + 6 > cell && columns.length <= 40;
        const below = turned ? Math.min(90, 14 + longest(columns) * 0.7) : 18;
        const top = figure.y.name ? 22 : 6;
        const high = Math.max(rows.length * Math.min(Math.max(cell, 4), 34), Math.min(260, rows.length * 12));
        const bottom = top + Math.min(520, high);
        const picture = svg("svg", {width, height: bottom + below + (figure.x.name ? 20 : 4), class: "under"});
        const tall = (bottom - top) / rows.length;
        if (figure.y.name) picture.append(axes.text(4, 13, axes.named(figure.y), "start", "name"));
        if (figure.x.name) picture.append(axes.text(right, bottom + below + 14, axes.named(figure.x), "end", "name"));
        const everyRow = Math.ceil(13 / tall), everyColumn = Math.ceil((turned ? 14 : longest(columns) + 8) / cell);
        rows.forEach((name, r) => {
            if (r % everyRow !== 0) return;
            picture.append(axes.text(left - 5, top + (r + 0.5) * tall + 4, short(name, left - 8), "end"));
        });
        columns.forEach((name, c) => {
            if (c % everyColumn !== 0) return;
            const x = left + (c + 0.5) * cell;
            const label = axes.text(x, bottom + 14, short(name, 110), turned ? "end" : "middle");
            if (turned) label.setAttribute("transform", `rotate(-40 ${x} ${bottom + 10})`);
            picture.append(label);
        });
        const canvas = paint();
        Object.assign(canvas.style, {left: `${left}px`, top: `${top}px`, width: `${right - left}px`,
            height: `${bottom - top}px`});
        plot.replaceChildren(picture, canvas);
        if (cell >= 38 && tall >= 16) write(picture, plot, left, top, cell, tall);
        axes.hover(canvas, (x, y) => {
            const r = Math.floor(y / tall), c = Math.floor(x / cell);
            if (!(r >= 0 && r < rows.length && c >= 0 && c < columns.length)) return null;
            return [`${figure.y.name} ${rows[r]}`.trim(), `${figure.x.name} ${columns[c]}`.trim(),
                `${axes.named(figure.colour)} ${Report.show(values[r * columns.length + c])}`.trim()];
        });
    }

    const short = (name, pixels) => name.length * 7 <= pixels ? name
        : `${name.slice(0, Math.max(1, Math.floor(pixels / 7) - 1))}…`;
    const shows = v => Number.isFinite(v) && (!log || v > 0);

    function paint() {
        const canvas = element("canvas", {width: columns.length, height: rows.length, className: "cells"});
        const context = canvas.getContext("2d"), image = context.createImageData(columns.length, rows.length);
        values.forEach((v, i) => { if (shows(v)) image.data.set([...colour.of(v), 255], 4 * i); });
        context.putImageData(image, 0, 0);
        return canvas;
    }

    function write(picture, plot, left, top, cell, tall) {
        const over = svg("svg", {width: picture.getAttribute("width"), height: picture.getAttribute("height"),
            class: "over"});
        values.forEach((v, i) => {
            if (!shows(v)) return;
            const [r, g, b] = colour.of(v);
            const x = left + (i % columns.length + 0.5) * cell, y = top + (Math.floor(i / columns.length) + 0.5) * tall;
            const label = axes.text(x, y + 4, Report.show(v, 3), "middle", "cell");
            label.setAttribute("fill", 0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#111" : "#fff");
            over.append(label);
        });
        plot.append(over);
    }

    return layout;
});
