/* Paints points on a canvas pixel by pixel, which takes a few milliseconds for tens of thousands. */
(() => {
    // the palette's last entry is for points without a colour
    const {element} = Report, few = 2000, shades = 256, missing = shades;

    /* Returns the colours of a column as indices into a palette, and the palette. */
    function colouring(column, plain) {
        const extent = column && Report.extent([column.values], column.log);
        if (!extent) return {of: null, scale: null, table: new Array(shades + 1).fill(plain)};
        const scale = Report.colours.scale(extent.low, extent.high, column.log);
        const of = new Uint16Array(column.values.length);
        column.values.forEach((v, i) => {
            of[i] = Number.isFinite(v) && (!column.log || v > 0) ? Math.round(scale.share(v) * (shades - 1)) : missing;
        });
        return {of, scale, table: [...Array.from({length: shades}, (_, i) => scale.map(i / (shades - 1))),
            Report.colours.variable("--faint")]};
    }

    const radius = count => count > 20000 ? 1 : count > 5000 ? 1.4 : count > 500 ? 2.2 : 3.6;

    function stamp(radius) {
        const offsets = [], reach = Math.floor(radius);
        for (let y = -reach; y <= reach; y++)
            for (let x = -reach; x <= reach; x++) if (x * x + y * y <= radius * radius + 0.3) offsets.push(x, y);
        return offsets;
    }

    function canvas() {
        const surface = element("canvas", {className: "points"}), context = surface.getContext("2d");
        let image, depths, dots, ratio = 1;

        function size(width, height, count) {
            ratio = Math.min(2, devicePixelRatio || 1);
            [surface.width, surface.height] = [Math.round(width * ratio), Math.round(height * ratio)];
            [surface.style.width, surface.style.height] = [`${width}px`, `${height}px`];
            image = context.createImageData(surface.width, surface.height);
            depths = null;
            dots = stamp(radius(count) * ratio);
        }

        /* Paints points. x and y are in pixels of the page, NaN for points that are not shown. depth grows towards the
           viewer, and points further away fade into the background. */
        function paint({x, y, depth, of, table, paper}) {
            if (x.length <= few) return circles(x, y, depth, i => table[of ? of[i] : 0]);
            const {data, width, height} = image, layers = depth ? 6 : 1, palette = [];
            data.fill(0);
            if (depth) (depths ??= new Float32Array(width * height)).fill(-Infinity);
            for (let layer = 0; layer < layers; layer++)
                for (const rgb of table) {
                    const fading = 0.45 * (1 - layer / (layers - 1));
                    palette.push(layers === 1 ? rgb : rgb.map((c, i) => c + (paper[i] - c) * fading));
                }
            const pixels = new Uint32Array(data.buffer);
            const colours = Uint32Array.from(palette, ([r, g, b]) => (255 << 24 | b << 16 | g << 8 | r) >>> 0);
            for (let i = 0; i < x.length; i++) {
                if (!(x[i] === x[i])) continue;
                const px = Math.round(x[i] * ratio), py = Math.round(y[i] * ratio), d = depth ? depth[i] : 0;
                const layer = depth ? Math.max(0, Math.min(layers - 1, Math.floor((d + 1.3) / 2.6 * layers))) : 0;
                const colour = colours[layer * (shades + 1) + (of ? of[i] : 0)];
                for (let j = 0; j < dots.length; j += 2) {
                    const cx = px + dots[j], cy = py + dots[j + 1];
                    if (cx < 0 || cy < 0 || cx >= width || cy >= height) continue;
                    const at = cy * width + cx;
                    if (depth) {
                        if (depths[at] > d) continue;
                        depths[at] = d;
                    }
                    pixels[at] = colour;
                }
            }
            context.putImageData(image, 0, 0);
        }

        /* Paints a few points as circles. */
        function circles(x, y, depth, colour) {
            const order = Array.from(x, (_, i) => i).filter(i => x[i] === x[i]), reach = radius(x.length) * ratio;
            if (depth) order.sort((a, b) => depth[a] - depth[b]);
            context.clearRect(0, 0, surface.width, surface.height);
            for (const i of order) {
                context.fillStyle = Report.colours.css(colour(i));
                context.beginPath();
                context.arc(x[i] * ratio, y[i] * ratio, reach, 0, 2 * Math.PI);
                context.fill();
            }
        }
        return {surface, size, paint};
    }

    /* Returns the point nearest to a position, within 12 pixels; −1 if there is none. */
    function nearest(x, y, px, py) {
        let best = 12 * 12, found = -1;
        for (let i = 0; i < x.length; i++) {
            const distance = (x[i] - px) ** 2 + (y[i] - py) ** 2;
            if (distance < best) [best, found] = [distance, i];
        }
        return found;
    }

    Object.assign(Report, {points: {canvas, colouring, nearest}});
})();
