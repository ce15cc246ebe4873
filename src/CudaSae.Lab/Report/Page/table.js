/* Draws a table whose rows a click on a heading sorts. A number in a column named latent opens the latent. */
Report.figure("table", (body, figure) => {
    const {element, axes} = Report, page = 100;
    const {columns} = figure, count = Math.max(0, ...columns.map(c => (c.texts ?? c.numbers).length));
    if (count === 0) return void body.append(axes.nothing("This table has no rows."));
    const order = Array.from({length: count}, (_, i) => i), rows = element("tbody");
    const more = element("button", {type: "button", className: "link more", onclick: () => fill(shown + 10 * page)});
    let sorted = -1, falling = false, shown = page;

    const headings = columns.map((column, c) => element("th", {className: column.texts ? "" : "number", scope: "col"},
        element("button", {type: "button", textContent: column.name, title: "sort", onclick: () => sort(c)}),
            column.formula ? element("small", {textContent: column.formula}) : null));
    body.append(element("div", {className: "scroll"},
        element("table", {}, element("thead", {}, element("tr", {}, ...headings)), rows)), more);
    fill(page);

    function sort(c) {
        falling = sorted === c ? !falling : !columns[c].texts;
        sorted = c;
        const {texts, numbers} = columns[c], sign = falling ? -1 : 1;
        const last = v => Number.isNaN(v) ? 1 : 0;      // missing values stay at the end
        order.sort(texts ? (a, b) => sign * texts[a].localeCompare(texts[b], "en", {numeric: true}) || a - b
            : (a, b) => last(numbers[a]) - last(numbers[b]) || sign * (numbers[a] - numbers[b]) || a - b);
        const direction = falling ? "descending" : "ascending";
        headings.forEach((heading, i) => heading.setAttribute("aria-sort", i === c ? direction : "none"));
        fill(page);
    }

    function fill(until) {
        shown = Math.min(count, until);
        rows.replaceChildren(...order.slice(0, shown).map(i =>
            element("tr", {}, ...columns.map(column => cell(column, i)))));
        more.hidden = shown === count;
        more.textContent = `${shown} of ${count} rows are shown; more`;
    }

    function cell(column, i) {
        if (column.texts) return element("td", {textContent: column.texts[i]});
        const v = column.numbers[i], isLatent = /(^| )latent$/i.test(column.name) && Number.isInteger(v);
        const text = isLatent ? String(v) : column.digits >= 0 && Number.isFinite(v) ? v.toFixed(column.digits)
            : Report.show(v);
        const made = element("td", {className: "number", title: Number.isFinite(v) ? String(v) : ""});
        const open = () => Report.openLatent?.(v);
        if (isLatent)
            made.append(element("button", {type: "button", className: "link", textContent: text, onclick: open}));
        else made.textContent = text;
        return made;
    }
});
