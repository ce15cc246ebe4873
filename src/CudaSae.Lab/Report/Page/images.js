/* Draws small grey pictures in a grid. Signed pictures are red above zero and blue below. */
Report.figure("images", (body, figure) => {
    const {element, axes, colours} = Report, page = 120;
    const {width, height, pixels, captions} = figure, size = width * height;
    const count = size > 0 ? Math.floor(pixels.length / size) : 0;
    if (count === 0) return void body.append(axes.nothing("This figure has no pictures."));
    const grid = element("div", {className: "pictures"});
    const more = element("button", {type: "button", className: "link more", onclick: () => add(page * 5)});
    const side = Math.max(56, Math.min(140, 4 * Math.max(width, height)));
    grid.style.setProperty("--side", `${side}px`);
    body.append(grid, more);
    let shown = 0;
    add(page);

    function add(some) {
        for (const until = Math.min(count, shown + some); shown < until; shown++) {
            const canvas = element("canvas", {width, height, role: "img", "aria-label": captions[shown] ?? ""});
            canvas.style.aspectRatio = `${width} / ${height}`;
            const caption = element("span", {textContent: captions[shown] ?? "", title: captions[shown] ?? ""});
            grid.append(element("div", {}, canvas, caption));
        }
        more.hidden = shown === count;
        more.textContent = `${shown} of ${count} pictures are shown; more`;
        layout();
    }

    function layout() {
        const paper = colours.variable("--plot");
        const ends = [colours.variable("--negative"), colours.variable("--positive")];
        [...grid.querySelectorAll("canvas")].forEach((canvas, i) => paint(canvas, i, paper, ends));
    }

    function paint(canvas, i, paper, ends) {
        const context = canvas.getContext("2d"), image = context.createImageData(width, height);
        for (let p = 0; p < size; p++) {
            const v = pixels[i * size + p];
            image.data.set(figure.signed ? [...signed(v, paper, ends), 255] : [v, v, v, 255], 4 * p);
        }
        context.putImageData(image, 0, 0);
    }

    function signed(v, paper, ends) {
        const share = Math.min(1, Math.abs(v - 128) / 127), end = ends[v > 128 ? 1 : 0];
        return paper.map((c, i) => Math.round(c + (end[i] - c) * share));
    }

    return layout;
});
