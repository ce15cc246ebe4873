/* Makes a list of any length. Only the rows in view are in the document. */
(() => {
    const {element} = Report;
    const rowHeight = 26, spare = 6;

    /* columns: [{name, width in rem, text(i), value(i)?, about}]. A click on a row calls choose(i), a click on a header
       sort(column). */
    function list(columns, choose, sort) {
        const header = element("div", {className: "row header", role: "row"});
        const spacer = element("div", {className: "spacer", role: "presentation"});
        const box = element("div", {className: "list", tabIndex: 0, role: "grid", "aria-label": "latents"}, header,
            spacer);
        let order = [], chosen = -1, due = 0;
        box.style.setProperty("--columns", columns.map(c => `${c.width}rem`).join(" "));
        box.style.setProperty("--width", `${columns.reduce((sum, c) => sum + c.width, 1)}rem`);

        function heads(sorted, descending) {
            const order = column => column !== sorted ? "none" : descending ? "descending" : "ascending";
            const arrows = {none: "", descending: " ↓", ascending: " ↑"};
            header.replaceChildren(...columns.map(column => element("button", {type: "button",
                className: column.kind ?? "", title: column.about ?? "", role: "columnheader", tabIndex: -1,
                "aria-sort": order(column), textContent: column.name + arrows[order(column)],
                onclick: () => sort(column)})));
        }

        function row(at) {
            const i = order[at];
            const cells = columns.map(column =>
                element("span", {className: column.kind ?? "", role: "gridcell", textContent: column.text(i)}));
            const made = element("div", {className: i === chosen ? "row chosen" : "row", role: "row",
                "aria-rowindex": at + 1, "aria-selected": i === chosen, onclick: () => choose(i)}, ...cells);
            made.style.top = `${at * rowHeight}px`;
            made.dataset.latent = i;
            return made;
        }

        function draw() {
            due = 0;
            const first = Math.max(0, Math.floor(box.scrollTop / rowHeight) - spare);
            const end = Math.min(order.length, Math.ceil((box.scrollTop + box.clientHeight) / rowHeight) + spare);
            spacer.replaceChildren(...Array.from({length: Math.max(0, end - first)}, (_, k) => row(first + k)));
        }
        const later = () => { due ||= requestAnimationFrame(draw); };
        box.addEventListener("scroll", later, {passive: true});
        new ResizeObserver(later).observe(box);

        const steps = {ArrowUp: -1, ArrowDown: 1, PageUp: -15, PageDown: 15, Home: -Infinity, End: Infinity};
        box.addEventListener("keydown", event => {
            if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
            event.preventDefault();
            move(steps[event.key]);
        });

        function move(by) {
            if (!order.length) return;
            const at = order.indexOf(chosen);
            choose(order[Math.min(order.length - 1, Math.max(0, at < 0 ? 0 : at + by))]);
        }

        return {box, heads, move,
            /* Shows the list from the top, even if the chosen latent is not in view there. */
            set(latents, marked) {
                [order, chosen] = [latents, marked];
                spacer.style.height = `${order.length * rowHeight}px`;
                box.setAttribute("aria-rowcount", order.length);
                box.scrollTop = 0;
                draw();
            },
            mark(i) {
                chosen = i;
                const at = order.indexOf(i), top = at * rowHeight, head = header.offsetHeight;
                if (at >= 0 && (top < box.scrollTop || top + rowHeight > box.scrollTop + box.clientHeight - head))
                    box.scrollTop = Math.max(0, top - (box.clientHeight - head) / 2);
                draw();
            }};
    }

    Object.assign(Report.latents, {list});
})();
