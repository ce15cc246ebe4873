/* Writes the numbers of a figure as CSV, with the same columns and digits as report --csv. */
(() => {
    const quote = text => /[",\r\n]/.test(text) || /^\s|\s$/.test(text) ? `"${text.replaceAll("\"", "\"\"")}"` : text;
    const floats = (name, values) => ({name, count: values.length, cell: i => Report.digits(values[i])});
    const texts = (name, values) => ({name, count: values.length, cell: i => values[i]});
    const plain = v => Number.isNaN(v) ? "" : String(v);

    const columns = {
        lines: f => {
            const points = f.series.flatMap(s => [...s.x].map((x, i) =>
                ({name: s.name, x, y: s.y[i], label: s.labels?.[i] ?? ""})));
            const made = [texts("series", points.map(p => p.name)), floats(f.x.name, points.map(p => p.x)),
                floats(f.y.name, points.map(p => p.y))];
            return points.some(p => p.label) ? [...made, texts("label", points.map(p => p.label))] : made;
        },
        histogram: f => [floats("from", f.edges.subarray(0, Math.max(0, f.edges.length - 1))),
            floats("to", f.edges.subarray(1)), ...f.series.map(s => floats(s.name, s.counts))],
        scatter: f => {
            const made = f.columns.map(c => floats(c.name, c.values));
            if (!f.latents || made.length === 0) return made;
            const latent = i => String(f.latents.length > 0 ? f.latents[i] : i);
            return [{name: "latent", count: made[0].count, cell: latent}, ...made];
        },
        heat: f => [texts(f.y.name || "row", f.rows),
            ...f.columns.map((name, c) =>
                ({name, count: f.rows.length, cell: r => Report.digits(f.values[r * f.columns.length + c])}))],
        table: f => f.columns.map(c => c.texts ? texts(c.name, c.texts)
            : {name: c.name, count: c.numbers.length, cell: i => plain(c.numbers[i])}),
        images: f => {
            const size = f.width * f.height;
            const pixel = (_, p) => ({name: `pixel ${Math.floor(p / f.width)} ${p % f.width}`,
                count: f.captions.length, cell: i => String(f.pixels[i * size + p])});
            return [texts("caption", f.captions), ...Array.from({length: size}, pixel)];
        },
    };

    function csv(figure) {
        const all = columns[figure.kind]?.(figure) ?? [], lines = [all.map(c => quote(c.name)).join(",")];
        for (let i = 0; i < (all[0]?.count ?? 0); i++) lines.push(all.map(c => quote(c.cell(i))).join(","));
        return lines.join("\n") + "\n";
    }

    function download(name, text) {
        const address = URL.createObjectURL(new Blob([text], {type: "text/csv"}));
        Report.element("a", {href: address, download: name}).click();
        setTimeout(() => URL.revokeObjectURL(address), 60000);
    }

    Object.assign(Report, {csv, download});
})();
