/* Draws a point for each item: in a rotatable view if there is a third column, and in a plane of two columns. */
Report.figure("scatter", (body, figure) => {
    const {svg, element, axes, colours, points} = Report;
    const {columns, latents} = figure, count = Math.max(0, ...columns.map(c => c.values.length));
    if (count === 0 || columns.length < 2) return void body.append(axes.nothing());
    const chosen = {x: figure.x, y: figure.y, z: figure.z, colour: figure.colour ?? ""};
    const pick = {say, open: i => { if (latents) Report.openLatent?.(latents.length > 0 ? latents[i] : i); }};
    const solid = figure.z ? Report.rotate(pick) : null, flat = element("div", {className: "flat"});
    const key = element("div"), note = element("div");
    const choose = (name, label, none) => {
        const list = element("select", {onchange: () => { chosen[name] = list.value; layout(); }},
            ...none ? [element("option", {value: "", textContent: "none"})] : [],
            ...columns.map(c =>
                element("option", {value: c.name, textContent: c.name, selected: c.name === chosen[name]})));
        list.value = chosen[name];
        return element("label", {}, `${label} `, list);
    };
    body.append(element("div", {className: "controls"}, choose("x", "x"), choose("y", "y"),
            ...solid ? [choose("z", "z")] : [], choose("colour", "colour", true)),
        element("div", {className: solid ? "pair" : ""}, ...solid ? [solid.stage] : [], flat), key, note, meanings());

    const column = name => columns.find(c => c.name === name);

    function layout() {
        const named = [chosen.x, chosen.y, ...solid ? [chosen.z] : []].map(column).filter(Boolean);
        const sides = named.map(c => ({axis: c, values: c.values, extent: Report.extent([c.values], c.log)}));
        const empty = sides.length < (solid ? 3 : 2) || sides.some(s => !s.extent);
        if (solid) solid.stage.hidden = empty;
        if (empty) {
            drawn = null;
            const without = sides.filter(s => !s.extent).map(s => s.axis.name).join(", ") || "these columns";
            flat.replaceChildren(axes.nothing(`No value of ${without} is finite.`));
            return;
        }
        const colouring = points.colouring(column(chosen.colour), colours.variable("--series-0"));
        const legend = colouring.scale ? [colours.legend(colouring.scale, axes.named(column(chosen.colour)))] : [];
        key.replaceChildren(...legend);
        note.replaceChildren(axes.leftOut(sides.reduce((sum, s) => sum + s.extent.out, 0)));
        solid?.set(sides, colouring, count);
        drawFlat(sides, colouring);
    }

    function drawFlat(sides, colouring) {
        flat.replaceChildren();
        const width = flat.clientWidth;
        const height = solid ? Math.min(440, Math.max(300, width * 0.8)) : Math.min(480, Math.max(280, width * 0.6));
        const frame = axes.frame(flat, width, height, sides[0], sides[1]), layer = points.canvas();
        const place = (scale, values) => Float32Array.from(values, v => scale.shows(v) ? scale.map(v) : NaN);
        const at = {x: place(frame.x, sides[0].values), y: place(frame.y, sides[1].values)};
        at.x.forEach((x, i) => { if (Number.isNaN(at.y[i])) at.x[i] = NaN; });
        layer.size(width, height, count);
        layer.paint({...at, of: colouring.of, table: colouring.table});
        const over = svg("svg", {class: "over", width, height});
        const mark = svg("circle", {class: "mark", r: 6, visibility: "hidden"});
        over.append(mark);
        flat.append(layer.surface, over);
        drawn = {at, mark, found: -1};
    }

    let drawn = null;
    axes.hover(flat, (x, y) => {
        if (!drawn) return null;
        const {at, mark} = drawn, found = drawn.found = Number.isNaN(x) ? -1 : points.nearest(at.x, at.y, x, y);
        mark.setAttribute("visibility", found < 0 ? "hidden" : "visible");
        if (found >= 0) mark.setAttribute("cx", at.x[found]), mark.setAttribute("cy", at.y[found]);
        return found < 0 ? null : say(found);
    });
    flat.onclick = () => { if (drawn?.found >= 0) pick.open(drawn.found); };

    function say(i) {
        const head = latents ? [`latent ${latents.length > 0 ? latents[i] : i}`] : [];
        return [...head, ...columns.map(c => `${axes.named(c)} ${Report.show(c.values[i])}`)];
    }

    function meanings() {
        const known = columns.filter(c => c.formula);
        return known.length === 0 ? "" : element("details", {className: "formula"},
            element("summary", {textContent: "Columns"}),
            element("dl", {}, ...known.flatMap(c => [element("dt", {textContent: c.name}),
                element("dd", {textContent: c.formula})])));
    }

    body.solid = solid;     // lets other scripts turn the view
    return layout;
});
