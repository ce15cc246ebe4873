/* Unpacks numbers, finds their extents, and formats them for readers and for files. */
(() => {
    function bytes(text) {
        if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
        const binary = atob(text), into = new Uint8Array(binary.length);
        for (let i = 0; i < into.length; i++) into[i] = binary.charCodeAt(i);
        return into;
    }

    const floats = text => new Float32Array(bytes(text).buffer);
    // JSON stores NaN and infinities as strings
    const number = value => value === null || value === undefined ? NaN : Number(value);

    const unpackers = {
        lines: f => ({series: f.series.map(s => ({...s, x: floats(s.x), y: floats(s.y)}))}),
        histogram: f => ({edges: floats(f.edges), series: f.series.map(s => ({...s, counts: floats(s.counts)}))}),
        scatter: f => ({columns: f.columns.map(c => ({...c, values: floats(c.values)}))}),
        heat: f => ({values: floats(f.values)}),
        table: f => ({columns: f.columns.map(c => c.texts ? c : {...c, numbers: (c.numbers ?? []).map(number)})}),
        images: f => ({pixels: bytes(f.pixels)}),
    };

    const unpackFigure = raw => ({...raw, ...unpackers[raw.kind]?.(raw), raw});
    const unpack = chapter => ({...chapter, figures: chapter.figures.map(unpackFigure)});

    /* Returns the smallest and the largest finite number (on a logarithmic axis also positive) and how many are left
       out; null if none is left. */
    function extent(arrays, log) {
        let low = Infinity, high = -Infinity, out = 0;
        for (const values of arrays)
            for (const v of values) {
                if (!Number.isFinite(v) || log && v <= 0) { out++; continue; }
                if (v < low) low = v;
                if (v > high) high = v;
            }
        return low <= high ? {low, high, out} : null;
    }

    const suffixes = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
    const trim = text => text.includes(".") ? text.replace(/\.?0+$/, "") : text;
    const power = (v, digits) => v.toExponential(digits).replace(/\.?0*e\+?/, "e");

    /* Formats a number with `digits` significant digits. */
    function show(v, digits = 4) {
        if (!Number.isFinite(v)) return Number.isNaN(v) ? "–" : v > 0 ? "∞" : "−∞";
        const size = Math.abs(v);
        if (size === 0) return "0";
        if (size < 1e-3 || size >= 1e7) return power(v, digits - 1);
        if (size >= 1e4) return Math.round(v).toString().replace(/\B(?=(\d{3})+$)/g, " ");
        return size >= 1000 ? trim(v.toFixed(1)) : String(Number(v.toPrecision(digits)));
    }

    /* Returns the label of a tick, where neighbours are `step` apart and none is larger than `largest`. */
    function tick(v, step, largest) {
        if (Math.abs(v) < step * 1e-6) return "0";
        if (largest < 1e-3) return power(v, Math.max(0, Math.ceil(Math.log10(Math.abs(v) / step) - 1e-6)));
        const [unit, suffix] = largest >= 1e4 ? suffixes.find(([size]) => largest >= size) : [1, ""];
        const text = (v / unit).toFixed(Math.min(8, Math.max(0, -Math.floor(Math.log10(step / unit) + 1e-6))));
        return suffix ? `${text} ${suffix}` : text;
    }

    const decade = e => e < -3 ? `1e${e}` : tick(10 ** e, 10 ** e, 10 ** e);

    /* Writes a float32 number in the fewest digits that read back to the same bits. */
    function digits(v) {
        if (!Number.isFinite(v)) return Number.isNaN(v) ? "" : v > 0 ? "Infinity" : "-Infinity";
        for (let precision = 1; precision < 10; precision++)
            if (Math.fround(Number(v.toPrecision(precision))) === v) return String(Number(v.toPrecision(precision)));
        return String(v);
    }

    Object.assign(Report, {bytes, unpack, extent, show, tick, decade, digits});
})();
