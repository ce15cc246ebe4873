"use strict";

/* The report. Drawing functions register themselves by kind. Data enter the document as text, never as markup.
   Report.figure(kind, draw)        draw(body, figure) fills the element once. It may return a function, which is
                                    called to lay the figure out again when its width or the theme changes.
   Report.panel(name, draw, about)  await draw(body) fills a separate chapter, about = {title, order}, which the page
                                    shows if it has a blob of that name.
   Report.blob(name)                returns the bytes of a blob as an ArrayBuffer, inflated at the first call.
   Report.chapters                  holds the chapters with their numbers unpacked.
   Report.refresh(json)             replaces the chapters by newer ones.
   Report.openLatent                opens a latent: i => …. The script that shows latents sets it. */
const Report = (() => {
    const kinds = {}, panels = {}, blobs = {}, errors = [], layouts = new Map();
    const root = document.documentElement;

    function element(tag, properties, ...children) {
        const made = document.createElement(tag);
        for (const [name, value] of Object.entries(properties ?? {})) {
            if (name.includes("-")) made.setAttribute(name, value);
            else made[name] = value;
        }
        made.append(...children.filter(child => child !== null && child !== undefined));
        return made;
    }

    const template = document.createElement("template");
    template.innerHTML = "<svg></svg>";
    // read from the browser, so that the page contains no address
    const svgNames = template.content.firstChild.namespaceURI;

    function svg(tag, attributes, ...children) {
        const made = document.createElementNS(svgNames, tag);
        for (const [name, value] of Object.entries(attributes ?? {})) made.setAttribute(name, value);
        made.append(...children);
        return made;
    }

    function failed(what, error) {
        errors.push(`${what}: ${error?.stack ?? error}`);
        root.dataset.errors = errors.join("\n");
    }
    window.addEventListener("error", event => failed("error", event.error ?? event.message));
    window.addEventListener("unhandledrejection", event => failed("promise", event.reason));
    document.addEventListener("securitypolicyviolation", event =>
        failed("policy", `${event.violatedDirective} ${event.blockedURI}`));

    async function inflate(text) {
        const gzip = new DecompressionStream("gzip"), writer = gzip.writable.getWriter();
        const written = writer.write(Report.bytes(text)).then(() => writer.close());
        const [inflated] = await Promise.all([new Response(gzip.readable).arrayBuffer(), written]);
        return inflated;
    }

    function blob(name) {
        const source = document.getElementById(`blob-${name}`);
        if (!source) return Promise.reject(new Error(`the page has no blob ${name}`));
        return blobs[name] ??= inflate(source.textContent);
    }

    async function readChapters() {
        const source = document.getElementById("chapters");
        const text = source.type === "application/json" ? source.textContent
            : new TextDecoder().decode(await inflate(source.textContent));
        return JSON.parse(text);
    }

    const anchor = (chapter, figure) => figure ? `${chapter.id}-${figure.id}` : chapter.id;

    /* Makes a figure: title, finding, picture, formula and download. */
    function show(chapter, figure) {
        const body = element("div", {className: "body"});
        const download = element("button", {className: "link", type: "button", textContent: "CSV",
            title: "download the numbers of this figure",
            onclick: () => Report.download(`${anchor(chapter, figure)}.csv`, Report.csv(figure))});
        const formula = figure.formula ? element("details", {className: "formula"},
            element("summary", {textContent: "Formula"}), element("p", {textContent: figure.formula})) : null;
        const box = element("figure", {id: anchor(chapter, figure),
            className: `figure ${figure.kind}${isWide(figure) ? " wide" : ""}`},
            element("h3", {}, element("a", {href: `#${anchor(chapter, figure)}`, textContent: figure.title})),
            figure.finding ? element("p", {className: "finding", textContent: figure.finding}) : null,
            body, element("div", {className: "below"}, formula ?? element("span"), download));
        box.drawn = () => draw(body, figure);
        return box;
    }

    const isWide = figure => ["scatter", "images"].includes(figure.kind)
        || figure.kind === "table" && figure.columns.length > 2
        || figure.kind === "heat" && figure.columns.length > 24;

    function draw(body, figure) {
        body.replaceChildren();
        layouts.delete(body);
        try {
            const layout = (kinds[figure.kind] ?? unknown)(body, figure);
            if (layout) layouts.set(body, {layout, width: 0});
            lay(body);
        } catch (error) {
            failed(figure.id, error);
            body.replaceChildren(element("p", {className: "nothing",
                textContent: `This figure could not be drawn: ${error.message}.`}));
        }
        root.dataset.figures = document.querySelectorAll("figure.figure > .body:not(:empty)").length;
    }

    const unknown = (body, figure) => void body.append(element("p",
        {className: "nothing", textContent: `This page cannot draw figures of the kind ${figure.kind}.`}));

    function lay(body, always) {
        const entry = layouts.get(body);
        if (!entry || body.clientWidth === 0 || !always && entry.width === body.clientWidth) return;
        entry.width = body.clientWidth;
        entry.layout();
    }

    function build(given) {
        layouts.clear();
        const shown = Object.entries(panels).filter(([name]) => document.getElementById(`blob-${name}`))
            .map(([name, panel]) =>
                ({id: `panel-${name}`, title: panel.title, order: panel.order, figures: [], panel}));
        const chapters = [...given, ...shown].sort((a, b) => a.order - b.order);
        const boxes = chapters.map(chapter => {
            const box = element("section", {id: anchor(chapter)}, element("h2", {textContent: chapter.title}),
                chapter.command ? element("p", {className: "command"}, element("code", {textContent: chapter.command}))
                    : null);
            box.append(chapter.panel ? chapter.panel.body = element("div", {className: "panel"})
                : element("div", {className: "figures"}, ...chapter.figures.map(figure => show(chapter, figure))));
            return box;
        });
        document.getElementById("report").replaceChildren(...boxes);
        contents(chapters);
        for (const box of document.querySelectorAll("figure.figure")) box.drawn();
        for (const {panel, id} of shown)
            Promise.resolve().then(() => panel.draw(panel.body)).catch(error => failed(id, error));
    }

    function contents(chapters) {
        const wide = matchMedia("(min-width: 60rem)").matches;
        const link = (chapter, figure) =>
            element("a", {href: `#${anchor(chapter, figure)}`, textContent: (figure ?? chapter).title});
        const list = element("ol", {}, ...chapters.map(chapter => element("li", {}, link(chapter),
            element("ol", {}, ...chapter.figures.map(figure => element("li", {}, link(chapter, figure)))))));
        const box = element("details", {open: wide}, element("summary", {textContent: "Contents"}), list);
        if (!wide) list.onclick = event => { if (event.target.tagName === "A") box.open = false; };
        document.getElementById("contents").replaceChildren(box);
    }

    /* Takes the newer numbers of /chapters.json and redraws the figures that changed, in place. */
    function refresh(json) {
        const old = Report.chapters;
        const shape = chapters => JSON.stringify(chapters.map(s => [s.id, s.figures.map(f => [f.id, f.kind])]));
        const newer = json.map(Report.unpack);
        Report.chapters = newer;
        if (shape(old) !== shape(newer)) return build(newer);
        newer.forEach((chapter, s) => chapter.figures.forEach((figure, f) => {
            if (JSON.stringify(figure.raw) === JSON.stringify(old[s].figures[f].raw)) return;
            const place = document.getElementById(anchor(chapter, figure)), box = show(chapter, figure);
            place.replaceWith(box);
            box.drawn();
        }));
    }

    function theme() {
        const button = element("button", {id: "theme", type: "button", title: "switch between light and dark",
            textContent: "◐"});
        const isDark = () => root.dataset.theme ? root.dataset.theme === "dark"
            : matchMedia("(prefers-color-scheme: dark)").matches;
        const layAll = () => { for (const body of layouts.keys()) lay(body, true); };
        button.onclick = () => { root.dataset.theme = isDark() ? "light" : "dark"; layAll(); };
        matchMedia("(prefers-color-scheme: dark)").addEventListener("change", layAll);
        document.getElementById("top").append(button);
        const chosen = /[?&]theme=(light|dark)\b/.exec(location.search);
        if (chosen) root.dataset.theme = chosen[1];
    }

    async function start() {
        theme();
        let width = 0, due = 0;
        new ResizeObserver(() => {
            if (width === root.clientWidth) return;
            width = root.clientWidth;
            cancelAnimationFrame(due);
            due = requestAnimationFrame(() => { for (const body of layouts.keys()) lay(body); });
        }).observe(root);
        Report.chapters = (await readChapters()).map(Report.unpack);
        build(Report.chapters);
        root.dataset.drawn = Math.round(performance.now());
        if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
    }
    document.addEventListener("DOMContentLoaded", start);

    const capital = name => name[0].toUpperCase() + name.slice(1);
    return {
        element, svg, blob, refresh, failed, chapters: [], openLatent: undefined,
        figure: (kind, draw) => { kinds[kind] = draw; },
        panel: (name, draw, about) => {
            panels[name] = {draw, title: about?.title ?? capital(name), order: about?.order ?? 50};
        },
    };
})();
