/* Reads the blob "latents"; Insight/Contexts/LatentBlob.cs documents its layout. Entries are decoded when needed. */
(() => {
    const magic = 0x504c5343, bins = 16, decoder = new TextDecoder();

    function read(buffer) {
        const view = new DataView(buffer), bytes = new Uint8Array(buffer);
        let at = 0;
        const u32 = () => view.getUint32((at += 4) - 4, true);
        const text = () => decoder.decode(bytes.subarray(at + 1, at += 1 + bytes[at]));
        const column = (Type, count) => new Type(buffer.slice(at, at += count * Type.BYTES_PER_ELEMENT));
        if (u32() !== magic || u32() !== 1)
            throw new Error("these latents were written by another version of the program");
        const [n, rows, low, high, window, counted, pieceCount, segmentCount, tokens] = Array.from({length: 9}, u32);
        const blob = {n, rows, window, counted, firstRow: low + high * 2 ** 32, origin: text(),
            count: column(Uint32Array, n), max: column(Float32Array, n), mean: column(Float32Array, n),
            cosine: column(Float32Array, n), norm: column(Float32Array, n)};
        const starts = new Uint32Array(n + 1);
        column(Uint32Array, n).forEach((length, i) => { starts[i + 1] = starts[i] + length; });
        const entries = at;
        at += starts[n];
        const pieces = Array.from({length: pieceCount}, text);
        const segments = {first: column(Uint32Array, segmentCount), length: column(Uint32Array, segmentCount),
            offset: new Uint32Array(segmentCount + 1)};
        segments.length.forEach((length, s) => { segments.offset[s + 1] = segments.offset[s] + length; });
        const tokenIds = column(pieceCount > 65536 ? Uint32Array : Uint16Array, tokens);
        return Object.assign(blob, {pieces, segments, tokenIds, hasTokens: pieceCount > 0,
            hasWords: pieces.some(piece => piece.startsWith(" ")),
            entry: i => entry(view, entries + starts[i], blob.max[i], starts[i + 1] > starts[i]),
            token: row => {
                const s = segmentOf(segments, row);
                return pieces[tokenIds[segments.offset[s] + row - segments.first[s]]];
            }});
    }

    function segmentOf({first}, row) {
        let low = 0, high = first.length - 1;
        while (low < high) {
            const middle = (low + high + 1) >> 1;
            if (first[middle] <= row) low = middle;
            else high = middle - 1;
        }
        return low;
    }

    function entry(view, at, max, fired) {
        if (!fired) return {histogram: [], width: 0, together: [], similar: [], contexts: []};
        const byte = () => view.getUint8(at++);
        const float = () => view.getFloat32((at += 4) - 4, true);
        function varint() {
            let value = 0, factor = 1, b;
            do {
                b = byte();
                value += (b & 127) * factor;
                factor *= 128;
            } while (b > 127);
            return value;
        }
        function list(read) {
            const items = [];
            for (let left = varint(); left > 0; left--) items.push(read());
            return items;
        }
        const histogram = Array.from({length: bins}, varint);
        const together = list(() => ({latent: varint(), joint: varint(), score: float()}));
        const similar = list(() => ({latent: varint(), score: float()}));
        const contexts = list(() => {
            const row = varint(), bucket = byte(), value = float(), before = byte(), after = byte();
            const levels = new Int8Array(before + 1 + after);
            for (let left = byte(); left > 0; left--) levels[byte()] = view.getInt8(at++);
            levels[before] = Math.sign(value) * Math.max(1, Math.round(127 * Math.abs(value) / max));
            return {row, bucket, value, first: row - before, end: row + after + 1, levels};
        });
        return {histogram, width: 2 ** (Math.floor(Math.log2(max)) - 3), together, similar, contexts};
    }

    /* Shows a character that would move, hide or overwrite its neighbours as its code point. */
    const visible = text => text.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Cn}\p{Zl}\p{Zp}]/gu,
        c => c === "\n" ? "↵" : `\\u{${c.codePointAt(0).toString(16)}}`);

    Report.latents = {read, visible};
})();
