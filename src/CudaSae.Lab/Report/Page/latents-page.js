/* Draws the page of one latent. */
(() => {
    const {element, svg, show} = Report;
    const link = i => element("a", {href: `#latent=${i}`, textContent: i, className: "number"});

    /* Draws counts of |value| as bars. Their heights are logarithmic: a single row is visible beside thousands. */
    function histogram({histogram: counts, width}) {
        const used = counts.findLastIndex(c => c > 0) + 1, most = Math.max(...counts), height = 90, step = 320 / used;
        const tall = c => c === 0 ? 0 : height * (Math.log(c) + 0.7) / (Math.log(most) + 0.7);
        const bars = counts.slice(0, used).map((c, b) =>
            svg("rect", {x: b * step, y: height - tall(c), width: Math.max(1, step - 1.5), height: tall(c)},
            titled(`${show(b * width)} to ${show((b + 1) * width)}: ${c} ${c === 1 ? "row" : "rows"}`)));
        return element("div", {className: "bars"}, svg("svg",
            {viewBox: `0 0 320 ${height}`, preserveAspectRatio: "none", role: "img",
            "aria-label": "histogram of activations"}, ...bars),
            element("div", {className: "ends"}, element("span", {textContent: "0"}),
                element("span", {textContent: `|activation|, rows logarithmic, at most ${show(most)}`}),
                    element("span", {textContent: show(used * width)})));
    }

    function titled(text) {
        const title = svg("title", {});
        title.textContent = text;
        return title;
    }

    function context(blob, latent, {row, value, first, levels}) {
        const tokens = element("div", {className: "tokens", dir: "auto"});
        levels.forEach((level, t) => {
            const text = Report.latents.visible(blob.token(first + t)), token = text.trimStart();
            const own = first + t === row;
            const shown = own ? show(value) : `≈ ${show(level / 127 * blob.max[latent])}`;
            const span = element("span",
                {textContent: token || text, className: own ? "own" : "", title: level === 0 ? "0" : shown});
            if (level !== 0) {
                span.style.setProperty("--level", (Math.abs(level) / 127).toFixed(3));
                span.classList.add(level > 0 ? "fires" : "negative");
            }
            // the space before a token is not coloured
            tokens.append(token && t > 0 ? text.slice(0, text.length - token.length) : "", span);
        });
        return element("li", {title: `row ${blob.firstRow + row}`},
            element("span", {className: "value", textContent: show(value)}), tokens);
    }

    function contexts(blob, latent, list) {
        if (blob.hasTokens) return element("ol", {className: "contexts"}, ...list.map(c => context(blob, latent, c)));
        const items = list.map(c => element("li", {}, element("span", {className: "value", textContent: show(c.value)}),
            `row ${blob.firstRow + c.row}`));
        return element("ol", {className: "contexts rows"}, ...items);
    }

    /* Lists random rows by fifths of the range. The limits are those of the histogram's bins. */
    function samples(blob, latent, {contexts: all, histogram: counts, width}) {
        const used = counts.findLastIndex(c => c > 0) + 1, edge = q => Math.ceil(q * used / 5) * width;
        const parts = [];
        for (let q = 5; q > 0; q--) {
            const list = all.filter(c => c.bucket === q);
            if (list.length)
                parts.push(element("h5", {textContent: `activation ${show(edge(q - 1))} to ${show(edge(q))}`}),
                    contexts(blob, latent, list));
        }
        return parts.length ? [element("h4", {textContent: "Random rows from the whole range"}), ...parts] : [];
    }

    function partners(title, list, columns) {
        if (!list.length) return null;
        return element("div", {}, element("h4", {textContent: title}), element("table", {className: "partners"},
            element("thead", {}, element("tr", {}, ...["latent", ...Object.keys(columns)].map(name =>
                element("th", {textContent: name})))),
            element("tbody", {}, ...list.map(p => element("tr", {}, element("td", {}, link(p.latent)),
                ...Object.values(columns).map(of => element("td", {textContent: of(p)})))))));
    }

    /* Returns the token of the strongest row within its word. A word begins at a token with a space before it. */
    function strongest(blob, i) {
        const first = blob.hasTokens && blob.entry(i).contexts[0];
        if (!first) return "";
        const token = row => Report.latents.visible(blob.token(row)), own = token(first.row).trim() || "␣";
        const starts = row => blob.token(row).startsWith(" ");
        let [low, end] = [first.row, first.row + 1];
        if (blob.hasWords) {
            while (low > first.first && !starts(low) && first.row - low < 4) low--;
            while (end < first.end && !starts(end) && end - first.row < 4) end++;
        }
        const part = (from, to) => Array.from({length: to - from}, (_, t) => token(from + t)).join("").trimStart();
        return end - low === 1 ? own : `${part(low, first.row)}⟨${own}⟩${part(first.row + 1, end)}`;
    }

    /* Makes the page. columns are [{name, text(i), about}] of the list; move(by) opens a neighbour in the list. */
    function page(blob, i, columns, move) {
        const entry = blob.entry(i), top = entry.contexts.filter(c => c.bucket === 0);
        const button = (by, text, title) =>
            element("button", {type: "button", textContent: text, title, onclick: () => move(by)});
        const all = top.length === blob.count[i] ? ", which are all on which it fires" : "";
        const facts = columns.filter(c => c.fact).map(c =>
            element("div", {}, element("dt", {textContent: c.name, title: c.about ?? ""}),
                element("dd", {textContent: c.fact(i)})));
        const named = blob.hasTokens ? {"strongest on": p => strongest(blob, p.latent)} : {};
        return [element("div", {className: "heading"}, element("h3", {textContent: `Latent ${i}`}),
            button(-1, "↑", "the previous latent in the list"), button(1, "↓", "the next latent in the list")),
            element("dl", {className: "facts"}, ...facts),
            ...blob.count[i] === 0 ? [element("p", {textContent: `It fires on none of these ${show(blob.rows)} rows.`})]
                : [histogram(entry),
                element("h4", {textContent: `Strongest ${top.length === 1 ? "row" : `${top.length} rows`}${all}`}),
                contexts(blob, i, top),
                ...samples(blob, i, entry),
                element("div", {className: "others"},
                    partners("Fires together with", entry.together,
                        {...named, "rows of both": p => show(p.joint), Jaccard: p => p.score.toFixed(3)}),
                    partners("Points the same way as", entry.similar, {...named, cosine: p => p.score.toFixed(3)}))]];
    }

    Object.assign(Report.latents, {page, strongest});
})();
