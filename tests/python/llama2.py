"""A language model in llama2.c's legacy layout, in float64 numpy, as a reference for the engine's forward pass.

llama2.py logits MODEL IDS.npy OUT.npz          writes the logits of every sequence, and every site's activations of the
                                                first sequence, flat
llama2.py encode TOKENIZER TEXT                 prints the ids of a text as JSON
"""
import json
import struct
import sys

import numpy as np

BOS = 1


class Model:
    """The header holds dim, hidden, layers, heads, kv heads, vocab (negative: a separate classifier) and context.
    Float32 tensors follow."""

    def __init__(self, path):
        data = open(path, "rb").read()
        self.dim, hidden, self.layers, self.heads, self.kv_heads, vocab, self.context = struct.unpack("<7i", data[:28])
        numbers = np.frombuffer(data, "<f4", offset=28).astype(np.float64)
        self.head = self.dim // self.heads
        kv, self.at, L = self.head * self.kv_heads, 0, self.layers

        def take(*shape):
            size = int(np.prod(shape))
            self.at += size
            return numbers[self.at - size:self.at].reshape(shape)

        self.embedding = take(abs(vocab), self.dim)
        self.attention_norm, self.wq = take(L, self.dim), take(L, self.dim, self.dim)
        self.wk, self.wv, self.wo = take(L, kv, self.dim), take(L, kv, self.dim), take(L, self.dim, self.dim)
        self.mlp_norm, self.w1 = take(L, self.dim), take(L, hidden, self.dim)
        self.w2, self.w3 = take(L, self.dim, hidden), take(L, hidden, self.dim)
        self.final_norm = take(self.dim)
        self.cosine, self.sine = take(self.context, self.head // 2), take(self.context, self.head // 2)
        self.classifier = self.embedding if vocab > 0 else take(-vocab, self.dim)
        assert self.at == len(numbers), (self.at, len(numbers))

    def run(self, ids, hook=lambda site, x: x):
        """Logits [tokens, vocab]. hook(site, activations) returns the activations that the network continues with."""
        def norm(x, weight):
            return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * weight

        def rotate(x):      # [tokens, heads, head]: neighbours are a complex number
            z = (x[..., 0::2] + 1j * x[..., 1::2]) * (self.cosine + 1j * self.sine)[:len(x), None]
            return np.stack([z.real, z.imag], -1).reshape(x.shape)

        x, tokens = self.embedding[ids], len(ids)
        mask = np.triu(np.full((tokens, tokens), -np.inf), 1)
        for i in range(self.layers):
            x = hook(f"resid_pre{i}", x)
            h = norm(x, self.attention_norm[i])
            q, k, v = ((h @ w[i].T).reshape(tokens, -1, self.head) for w in (self.wq, self.wk, self.wv))
            k, v = (np.repeat(a, self.heads // self.kv_heads, 1) for a in (rotate(k), v))
            scores = np.einsum("thd,shd->hts", rotate(q), k) / np.sqrt(self.head) + mask
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            mixed = np.einsum("hts,shd->thd", scores / scores.sum(-1, keepdims=True), v).reshape(tokens, self.dim)
            x = hook(f"resid_mid{i}", x + hook(f"attn_out{i}", mixed @ self.wo[i].T))
            h = hook(f"mlp_in{i}", norm(x, self.mlp_norm[i]))
            gate = h @ self.w1[i].T
            h = hook(f"mlp_hidden{i}", gate / (1 + np.exp(-gate)) * (h @ self.w3[i].T))
            x = hook(f"resid_post{i}", x + hook(f"mlp_out{i}", h @ self.w2[i].T))
        return norm(x, self.final_norm) @ self.classifier.T


def log_softmax(logits):
    logits = logits - logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def losses(logits, ids):
    """Returns -log p of each next token, [tokens - 1]."""
    return -log_softmax(logits)[np.arange(len(ids) - 1), ids[1:]]


def pieces(path):
    data, at, result = open(path, "rb").read(), 4, []
    while at < len(data):
        score, length = struct.unpack("<fi", data[at:at + 8])
        result.append((data[at + 8:at + 8 + length], score))
        at += 8 + length
    return result


def encode(path, text):
    """Returns BOS, a space, then characters merged by the best score."""
    vocabulary = pieces(path)
    index = {}
    for i, (piece, _) in enumerate(vocabulary):
        index.setdefault(piece, i)
    ids = [BOS] + ([index[b" "]] if text else [])
    for character in text:
        piece = character.encode()
        ids += [index[piece]] if piece in index else [b + 3 for b in piece]
    while True:
        best = None
        for i in range(len(ids) - 1):
            joined = index.get(vocabulary[ids[i]][0] + vocabulary[ids[i + 1]][0])
            if joined is not None and (best is None or vocabulary[joined][1] > vocabulary[best[1]][1]):
                best = (i, joined)
        if best is None:
            return ids
        ids[best[0]:best[0] + 2] = [best[1]]


if __name__ == "__main__":
    if sys.argv[1] == "encode":
        print(json.dumps(encode(sys.argv[2], open(sys.argv[3], encoding="utf-8", newline="").read())))
    else:
        model, out = Model(sys.argv[2]), {}
        for row, ids in enumerate(np.load(sys.argv[3]).astype(int)):
            out[f"logits{row}"] = model.run(ids, lambda site, x: out.setdefault(site, x) if row == 0 else x)
        np.savez(sys.argv[4], **{name: x.astype(np.float32).ravel() for name, x in out.items()})
