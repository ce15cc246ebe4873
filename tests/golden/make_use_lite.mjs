// Records the results of the published graph of Universal Sentence Encoder Lite by TensorFlow.js: token ids, the
// residual stream after block 0 (first token) and the embedding. Run it in a folder with the packages below; it writes
// use_lite.json.
//   npm install @tensorflow/tfjs-core@4 @tensorflow/tfjs-converter@4 @tensorflow/tfjs-backend-cpu@4 \
//     @tensorflow-models/universal-sentence-encoder@1
//   node make_use_lite.mjs FOLDER_OF_WEIGHTS > use_lite.json
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
const require = createRequire(process.cwd() + "/");
const tf = require("@tensorflow/tfjs-core");
require("@tensorflow/tfjs-backend-cpu");
const { GraphModel, loadGraphModel } = require("@tensorflow/tfjs-converter");
const { Tokenizer } = require("@tensorflow-models/universal-sentence-encoder/dist/tokenizer");

const folder = process.argv[2];
const json = JSON.parse(readFileSync(`${folder}/model.json`));
const [group] = json.weightsManifest;
const weights = Buffer.concat(group.paths.map(p => readFileSync(`${folder}/${p}`)));
const model = await loadGraphModel({ load: async () => ({ modelTopology: json.modelTopology, weightSpecs: group.weights,
    weightData: weights.buffer.slice(weights.byteOffset, weights.byteOffset + weights.length) }) });
const tokenizer = new Tokenizer(JSON.parse(readFileSync(`${folder}/vocab.json`)));
const residual = "module_apply_default/Encoder_en/KonaTransformer/Encode/TransformerStack/Layer_0/TransformerLayer/"
    + "FFN/layer_postprocess/add";
const cases = [];
const texts = ["The quick brown fox jumps over the lazy dog.", "a small group of indigenous people",
    "Naïve Bayes — ½ of all cases, 東京!", "I"];
for (const text of texts.map(t => t.normalize("NFKC"))) {
    const ids = tokenizer.encode(text);
    const inputs = {
        indices: tf.tensor2d(ids.map((_, i) => [0, i]), [ids.length, 2], "int32"), values: tf.tensor1d(ids, "int32"),
    };
    const [stream, embedding] = await model.executeAsync(inputs, [residual, model.outputNodes[0]]);
    const last = stream.shape[1] - 1;
    const row = Array.from(tf.slice(stream, [0, last, 0], [1, 1, 512]).dataSync());
    const rounded = values => Array.from(values).map(v => +v.toPrecision(8));
    cases.push({ text, ids, residual_last_token: rounded(row), embedding: rounded(embedding.dataSync()) });
}
console.log(JSON.stringify(cases));
