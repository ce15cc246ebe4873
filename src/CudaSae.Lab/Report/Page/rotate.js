/* Shows points in three dimensions. Dragging and the arrow keys turn them; the wheel and two fingers zoom. */
(() => {
    const {svg, element, axes, points} = Report;
    const corners = [-1, 1].flatMap(x => [-1, 1].flatMap(y => [-1, 1].map(z => [x, y, z])));

    /* set takes three {axis, values, extent}. pick.say(i) returns the read-out of point i; pick.open(i) opens it. */
    function view(pick) {
        const stage = element("div", {className: "stage", tabIndex: 0,
            title: "drag to turn; after a click the wheel zooms"});
        const layer = points.canvas();
        const state = {yaw: 0.6, pitch: 0.38, zoom: 1};
        let under = svg("svg", {}), over = svg("svg", {class: "over"});
        let mark = svg("circle", {class: "mark", r: 6, visibility: "hidden"}), cube = [], screen, colouring, sides;
        let width = 0, height = 0, due = 0;
        over.append(mark);
        stage.append(under, layer.surface, over);

        function set(named, colours, count) {
            [width, height] = [stage.clientWidth, Math.min(440, Math.max(300, stage.clientWidth * 0.8))];
            [sides, colouring] = [named, colours];
            stage.style.height = `${height}px`;
            over.setAttribute("width", width), over.setAttribute("height", height);
            layer.size(width, height, count);
            cube = named.map(({axis, values, extent}) => {
                const scale = axes.scale(extent, axis.log, -1, 1);
                return {scale, at: Float32Array.from(values, v => scale.shows(v) ? scale.map(v) : NaN)};
            });
            screen = {x: new Float32Array(count), y: new Float32Array(count), depth: new Float32Array(count)};
            draw();
        }

        function projection() {
            const [sy, cy] = [Math.sin(state.yaw), Math.cos(state.yaw)];
            const [sp, cp] = [Math.sin(state.pitch), Math.cos(state.pitch)];
            const size = Math.min(width, height) * state.zoom;
            return (x, y, z, into, i) => {
                const across = x * cy - y * sy, away = x * sy + y * cy, depth = z * sp - away * cp;
                const up = z * cp + away * sp, shrink = size / (3.9 - depth);
                into.x[i] = width / 2 + across * shrink;
                into.y[i] = height / 2 - up * shrink;
                into.depth[i] = depth;
            };
        }

        function draw() {
            due = 0;
            if (!screen || width === 0) return;
            const project = projection(), [x, y, z] = cube.map(c => c.at);
            for (let i = 0; i < x.length; i++) project(x[i], y[i], z[i], screen, i);
            layer.paint({...screen, of: colouring.of, table: colouring.table,
                paper: Report.colours.variable("--plot")});
            frame(project);
        }
        const later = () => { due ||= requestAnimationFrame(draw); };

        /* Draws the box around the points, and ticks along the three edges that hide no point. */
        function frame(project) {
            const at = {x: [], y: [], depth: []}, made = svg("svg", {width, height});
            corners.forEach((c, i) => project(...c, at, i));
            const edges = [];
            for (let a = 0; a < 8; a++)
                for (const bit of [4, 2, 1])
                    if (!(a & bit)) edges.push({a, b: a | bit, side: bit === 4 ? 0 : bit === 2 ? 1 : 2});
            for (const {a, b} of edges)
                made.append(svg("line", {class: "grid", x1: at.x[a], y1: at.y[a], x2: at.x[b], y2: at.y[b]}));
            for (let side = 0; side < 3; side++) {
                const along = edges.filter(e => e.side === side);
                const key = e => side === 2 ? -(at.x[e.a] + at.x[e.b]) : at.y[e.a] + at.y[e.b];
                label(made, project, side, along.reduce((best, e) => key(e) > key(best) ? e : best));
            }
            under.replaceWith(made);
            under = made;
        }

        function label(made, project, side, edge) {
            const at = {x: [], y: [], depth: []}, {axis} = sides[side], start = corners[edge.a].slice();
            const scale = cube[side].scale, ends = [];
            for (const t of scale.ticks(3)) {
                const place = scale.map(t.v);
                if (place < -1 || place > 1) continue;
                start[side] = place;
                project(...start, at, 0);
                made.append(svg("circle", {class: "dot", cx: at.x[0], cy: at.y[0], r: 1.5}));
                made.append(side === 2 ? axes.text(at.x[0] - 6, at.y[0] + 4, t.text, "end")
                    : axes.text(at.x[0], at.y[0] + 15, t.text, "middle"));
            }
            for (const end of [-1, 1]) { start[side] = end; project(...start, at, 0); ends.push([at.x[0], at.y[0]]); }
            const [x, y] = [(ends[0][0] + ends[1][0]) / 2, (ends[0][1] + ends[1][1]) / 2];
            const above = Math.max(12, Math.min(ends[0][1], ends[1][1]) - 10);
            const beside = Math.min(width - 60, Math.max(60, x + (x < width / 2 ? -18 : 18)));
            made.append(side === 2 ? axes.text(8, above, axes.named(axis), "start", "name")
                : axes.text(beside, Math.min(height - 6, y + 34), axes.named(axis), "middle", "name"));
        }

        const pointers = new Map();
        let moved = 0, active = false;
        stage.addEventListener("pointerdown", event => {
            pointers.set(event.pointerId, event);
            [moved, active] = [0, true];
            stage.setPointerCapture(event.pointerId);
        });
        for (const kind of ["pointerup", "pointercancel"])
            stage.addEventListener(kind, event => pointers.delete(event.pointerId));
        stage.addEventListener("pointerleave", () => { active = false; });
        stage.addEventListener("pointermove", event => {
            const before = pointers.get(event.pointerId);
            if (!before) return;
            const others = [...pointers.values()].filter(p => p.pointerId !== event.pointerId);
            const [dx, dy] = [event.clientX - before.clientX, event.clientY - before.clientY];
            if (others.length > 0) {
                const span = p => Math.hypot(p.clientX - others[0].clientX, p.clientY - others[0].clientY);
                zoom(span(event) / Math.max(1, span(before)));
            }
            moved += Math.abs(dx) + Math.abs(dy);
            turn(dx * 0.008, dy * 0.008);
            pointers.set(event.pointerId, event);
        });
        stage.addEventListener("wheel", event => {
            if (!active && !event.ctrlKey) return;      // otherwise the page could not scroll past the figure
            event.preventDefault();
            zoom(Math.exp(-event.deltaY * 0.0015));
        }, {passive: false});
        stage.addEventListener("keydown", event => {
            const by = {ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1]}[event.key];
            if (event.key === "+" || event.key === "-") zoom(event.key === "+" ? 1.15 : 1 / 1.15);
            else if (by) turn(...by);
            else return;
            event.preventDefault();
        });
        axes.hover(stage, (x, y) => {
            const i = pointers.size > 0 || !screen || Number.isNaN(x) ? -1 : points.nearest(screen.x, screen.y, x, y);
            mark.setAttribute("visibility", i < 0 ? "hidden" : "visible");
            if (i >= 0) mark.setAttribute("cx", screen.x[i]), mark.setAttribute("cy", screen.y[i]);
            return i < 0 ? null : pick.say(i);
        });
        stage.addEventListener("click", event => {
            const box = stage.getBoundingClientRect();
            const i = moved > 4 || !screen ? -1
                : points.nearest(screen.x, screen.y, event.clientX - box.left, event.clientY - box.top);
            if (i >= 0) pick.open(i);
        });

        function turn(yaw, pitch) {
            state.yaw += yaw;
            state.pitch = Math.max(-1.5, Math.min(1.5, state.pitch + pitch));
            later();
        }
        function zoom(by) {
            state.zoom = Math.max(0.4, Math.min(20, state.zoom * by));
            later();
        }
        return {stage, set, turn, draw};
    }

    Report.rotate = view;
})();
