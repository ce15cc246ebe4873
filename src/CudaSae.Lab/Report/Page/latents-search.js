/* Finds the latents whose strongest contexts contain a text: first in all shown tokens, then in each window. */
(() => {
    function index(blob) {
        const lower = blob.pieces.map(piece => piece.toLowerCase());
        const texts = Array.from(blob.segments.first, (first, s) => {
            const from = blob.segments.offset[s], length = blob.segments.length[s];
            const starts = new Uint32Array(length + 1), parts = new Array(length);
            for (let t = 0; t < length; t++) {
                parts[t] = lower[blob.tokenIds[from + t]];
                starts[t + 1] = starts[t] + parts[t].length;
            }
            return {first, starts, text: parts.join("")};
        });
        const windows = [];
        for (let i = 0; i < blob.n; i++)
            for (const context of blob.entry(i).contexts)
                if (context.bucket === 0) windows.push(i, context.first, context.row, context.end);
        return {texts, windows: Int32Array.from(windows)};
    }

    /* Returns the index of the last number of an ascending list that is not above x. */
    function last(ascending, x, length = ascending.length) {
        let low = 0, high = length - 1;
        while (low < high) {
            const middle = (low + high + 1) >> 1;
            if (ascending[middle] <= x) low = middle;
            else high = middle - 1;
        }
        return low;
    }

    /* Returns the rows [first, end) of every occurrence, ascending. */
    function places(texts, wanted) {
        const first = [], end = [];
        for (const {first: row, starts, text} of texts)
            for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + 1)) {
                first.push(row + last(starts, at, starts.length - 1));
                end.push(row + last(starts, at + wanted.length - 1, starts.length - 1) + 1);
            }
        return {first, end};
    }

    /* Counts for each latent that has any: contexts whose own token is part of the text, contexts that contain it. */
    function find({texts, windows}, wanted) {
        const found = new Map(), {first, end} = places(texts, wanted.toLowerCase());
        for (let w = 0; w < windows.length; w += 4) {
            const [latent, low, row, high] = windows.subarray(w, w + 4);
            let p = first.length ? last(first, low) : 0, inside = false, own = false;
            for (; p < first.length && first[p] < high; p++) {
                if (first[p] < low || end[p] > high) continue;
                inside = true;
                own ||= first[p] <= row && row < end[p];
            }
            if (!inside) continue;
            const sum = found.get(latent) ?? {own: 0, all: 0};
            found.set(latent, {own: sum.own + own, all: sum.all + 1});
        }
        return found;
    }

    let latest = null;
    Object.assign(Report.latents, {search: (blob, wanted) => {
        if (latest?.blob !== blob) latest = {blob, ...index(blob)};
        return find(latest, wanted);
    }});
})();
