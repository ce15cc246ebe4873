/* Shows a list of latents, which sorts and searches, and the page of the chosen one. #latent=123 opens a latent. */
Report.panel("latents", async element => {
    const {element: make, latents, show} = Report;
    const blob = latents.read(await Report.blob("latents"));
    const columns = allColumns(blob);
    let found = null, sorted = columns[0], descending = false, chosen = -1;

    const search = make("input", {type: "search", placeholder: blob.hasTokens ? "number or text" : "number",
        "aria-label": "latent's number or text in its contexts"});
    const least = make("input", {inputMode: "decimal", placeholder: "0", "aria-label": "smallest density"});
    const most = make("input", {inputMode: "decimal", placeholder: "1", "aria-label": "largest density"});
    const silent = make("input", {type: "checkbox"}), counted = make("output", {});
    const foundColumn = {name: "found", width: 4.5, kind: "number",
        about: "strongest contexts whose own token is part of the text / that contain it",
        value: i => found.has(i) ? found.get(i).own * 1000 + found.get(i).all : 0,
        text: i => found?.has(i) ? `${found.get(i).own} / ${found.get(i).all}` : ""};
    const page = make("article", {className: "page", tabIndex: -1});
    let list = latents.list(columns, open, sort), searching = false, before = null;
    const holder = make("div", {className: "holder"}, list.box);
    element.classList.add("latents");
    element.replaceChildren(make("div", {className: "search"}, search,
        make("label", {}, "density ", least, " to ", most), make("label", {}, silent, " include silent latents"),
        counted),
        make("div", {className: "both"}, holder, page), about(blob));

    /* A search adds a column and sorts by it. Without a search the previous order returns. */
    function layOut() {
        const shown = found ? [columns[0], foundColumn, ...columns.slice(1)] : columns;
        if (searching !== Boolean(found)) {
            searching = Boolean(found);
            list = latents.list(shown, open, sort);
            holder.replaceChildren(list.box);
            if (found) before = [sorted, descending];
            [sorted, descending] = found ? [foundColumn, true] : before;
        }
        list.heads(sorted, descending);
    }

    function sort(column) {
        const falls = column === sorted ? !descending : column !== columns[0] && column.kind === "number";
        [sorted, descending] = [column, falls];
        fill();
    }

    const limit = (input, otherwise) =>
        input.value.trim() === "" || !Number.isFinite(Number(input.value)) ? otherwise : Number(input.value);

    function fill() {
        const wanted = search.value, number = /^\s*#?\d+\s*$/.test(wanted) ? Number(wanted.replace("#", "")) : -1;
        found = blob.hasTokens && wanted.trim() !== "" && !wanted.includes("#") ? latents.search(blob, wanted) : null;
        if (found && number >= 0 && number < blob.n && !found.has(number)) found.set(number, {own: 0, all: 0});
        const matches = found ? i => found.has(i) : () => wanted.trim() === "";
        const [low, high] = [limit(least, 0), limit(most, 1)], order = [];
        for (let i = 0; i < blob.n; i++) {
            const density = blob.count[i] / blob.rows;
            if (i === number || (silent.checked || blob.count[i] > 0) && density >= low && density <= high
                && matches(i)) order.push(i);
        }
        layOut();
        const values = [], sign = descending ? -1 : 1;
        for (const i of order) values[i] = sorted.value(i);
        order.sort((a, b) => {
            if (a === number || b === number) return a === number ? -1 : 1;
            const x = values[a], y = values[b];
            if (x === y || x !== x && y !== y) return a - b;
            if (typeof x === "string") return sign * (x < y ? -1 : 1);
            return Number.isNaN(x) ? 1 : Number.isNaN(y) ? -1 : sign * (x - y);      // missing values come last
        });
        list.set(order, chosen);
        counted.textContent = `${order.length.toLocaleString("en")} of ${blob.n.toLocaleString("en")} latents`;
        element.dataset.shown = order.length;
        return order;
    }

    function open(i) {
        if (!(i >= 0 && i < blob.n)) return;
        chosen = i;
        list.mark(i);
        page.replaceChildren(...latents.page(blob, i, columns, by => list.move(by)));
        page.scrollTop = 0;
        element.dataset.latent = i;
        if (named() !== i) history.replaceState(null, "", `#latent=${i}`);
    }

    const named = () => { const match = /^#latent=(\d+)$/.exec(location.hash); return match ? Number(match[1]) : -1; };

    function follow() {
        if (!element.isConnected) return window.removeEventListener("hashchange", follow);
        if (named() >= 0) open(named());
    }
    window.addEventListener("hashchange", follow);
    Report.openLatent = i => {
        open(i);
        (element.closest("section") ?? element).scrollIntoView();
    };

    let waiting = 0;
    search.oninput = least.oninput = most.oninput = () => { clearTimeout(waiting); waiting = setTimeout(fill, 120); };
    silent.onchange = fill;
    search.onkeydown = event => {
        if (event.key !== "Enter" && event.key !== "ArrowDown") return;
        event.preventDefault();
        clearTimeout(waiting);
        const order = fill();
        if (order.length) open(order[0]);
        list.box.focus();
    };

    const order = fill();
    if (named() >= 0) {
        open(named());
        (element.closest("section") ?? element).scrollIntoView();
    }
    else if (order.length) {
        page.replaceChildren(...latents.page(blob, chosen = order[0], columns, by => list.move(by)));
        list.mark(chosen);
    }

    /* Returns the columns of the blob, then those of other chapters' scatter plots. */
    function allColumns({count, rows, max, mean, cosine, norm, n}) {
        const numeric = (name, values, aboutIt) => ({name, width: 4.9, kind: "number", about: aboutIt, value: values,
            text: i => show(values(i)), fact: i => show(values(i))});
        const own = [{name: "latent", width: 4.6, kind: "number", value: i => i, text: i => String(i)}];
        if (blob.hasTokens)
            own.push({name: "strongest on", width: 8.6, text: i => latents.strongest(blob, i),
                value: i => latents.strongest(blob, i).replace(/[⟨⟩]/g, "").toLowerCase(),
                about: "the token on which it fires most strongly, in ⟨⟩ if it is part of a word"});
        own.push({...numeric("density", i => count[i] / rows, "share of rows on which it fires"),
            fact: i => `${show(count[i] / rows)} (${show(count[i])} of ${show(rows)} rows)`});
        own.push(numeric("max", i => max[i], "largest |activation|"));
        own.push(numeric("mean", i => mean[i], "mean activation where it fires"));
        if (cosine.some(Number.isFinite))
            own.push(numeric("cos(e, d)", i => cosine[i], "cosine of its encoder row with its decoder row"));
        if (norm.some(length => Math.abs(length - 1) > 1e-3))
            own.push(numeric("‖d‖", i => norm[i], "norm of its decoder row"));
        const names = new Set(own.map(c => c.name.toLowerCase()));
        const figures = Report.chapters.flatMap(chapter => chapter.figures);
        for (const figure of figures.filter(f => f.kind === "scatter" && f.latents && f.columns))
            for (const column of figure.columns) {
                const values = perLatent(figure.latents, column.values, n);
                if (!values || names.has(column.name.toLowerCase()) || names.size > 24) continue;
                names.add(column.name.toLowerCase());
                own.push(numeric(column.name, i => values[i],
                    [column.formula, column.unit].filter(Boolean).join(", ")));
            }
        return own;
    }

    function perLatent(which, values, n) {
        if (which.length === 0) return values.length === n ? values : null;
        const all = new Float32Array(n).fill(NaN);
        which.forEach((i, at) => { if (i >= 0 && i < n) all[i] = values[at]; });
        return all;
    }

    function about({rows, firstRow, origin, counted: pairs}) {
        const sampled = pairs < rows ? `, counted on ${pairs} random rows` : "";
        const text = `The pages show rows ${firstRow} to ${firstRow + rows - 1} of the data; texts are from ${origin}. `
            + "Density is the share of these rows on which a latent fires, and mean is its mean value on them. "
            + "The colour of a token is the latent's value on it as a share of its largest value. "
            + "The histogram has 9 to 16 bins, whose width is a power of two. "
            + "Random rows are drawn uniformly from each fifth of the range. "
            + `Jaccard is the share of the rows of either latent on which both fire${sampled}. `
            + "Cosine is that of the decoder rows of latents that fire.";
        return make("details", {className: "formula"}, make("summary", {textContent: "What is shown"}),
            make("p", {textContent: text}));
    }
}, {title: "Single latents", order: 90});
