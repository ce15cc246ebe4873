using CudaSae.Lab.Harvest;

namespace CudaSae.Lab.Downstream;

/// <summary>What a sentence's embedding loses when an SAE's reconstruction stands in for a site's activations: its
/// cosine with the embedding as it was, against ablation.</summary>
static class SentenceEncoderEval
{
    /// <param name="name">Of the SAE.</param>
    /// <exception cref="SaeException">There is no sequence, or the SAE does not fit the site.</exception>
    public static DownstreamResult Run(ISentenceEncoder model, Sae sae, string name, string site,
        IReadOnlyList<TokenSequence> sequences)
    {
        var place = new SpliceSite(model, sae, site, excludeBos: false);
        if (sequences.Count == 0) throw new SaeException("there is no sentence; give a text with one a line");
        List<float[]> untouched = [];
        List<double> with = [], zero = [], mean = [];
        long changed = 0;
        foreach (var (ids, _) in sequences)
        {
            place.Begin(ids);
            var embedding = model.Embedding(ids, place.Capture);
            untouched.Add(embedding);
            place.Reconstruct();
            changed += model.Embedding(ids, place.Put(place.Original)).Zip(embedding)
                .Count(p => BitConverter.SingleToInt32Bits(p.First) != BitConverter.SingleToInt32Bits(p.Second));
            with.Add(Cosine(embedding, model.Embedding(ids, place.Put(place.Reconstruction))));
            zero.Add(Cosine(embedding, model.Embedding(ids, place.PutZero())));
        }
        var average = place.Totals.Mean();
        var everywhere = place.PutEverywhere([.. average.Select(a => (float)a)]);
        for (var s = 0; s < sequences.Count; s++)
        {
            place.Begin(sequences[s].Ids);
            mean.Add(Cosine(untouched[s], model.Embedding(sequences[s].Ids, place.Capture + everywhere)));
            place.Again(average);
        }
        var metrics = Metrics(place.Totals, with, zero, mean, changed).ToArray();
        return new(model.Name, site, name, sae.Spec.Selection.GetType().Name.ToLowerInvariant(), metrics,
            DownstreamFigures.OfCosines(metrics, with, zero, mean));
    }

    static double Cosine(float[] a, float[] b)
    {
        double aa = 0, bb = 0, ab = 0;
        for (var i = 0; i < a.Length; i++)
            (aa, bb, ab) = (aa + (double)a[i] * a[i], bb + (double)b[i] * b[i], ab + (double)a[i] * b[i]);
        return ab / Math.Sqrt(aa * bb);
    }

    static IEnumerable<Metric> Metrics(ReconstructionTotals totals, List<double> with, List<double> zero,
        List<double> mean, long changed)
    {
        const string group = "embedding_preservation", controls = "controls", tokens = "token_stats";
        double Score(double cosine, double worst) => (cosine - worst) / (1 - worst);
        return
        [
            new(group, "embedding_cosine_with_sae", with.Average(),
                "mean of ⟨e, e with x̂ for x⟩ / ‖·‖‖·‖, e a sentence's embedding"),
            new(group, "embedding_cosine_with_ablation", zero.Average(), "the same with 0 for x"),
            new(group, "embedding_cosine_score", Score(with.Average(), zero.Average()),
                "(cos_sae − cos_ablation) / (1 − cos_ablation): cosine recovered"),
            new(group, "embedding_cosine_with_mean_ablation", mean.Average(), "the same with x̄ for x"),
            new(group, "embedding_cosine_score_mean_ablation", Score(with.Average(), mean.Average()),
                "the score against that"),
            .. totals.Metrics(),
            new(tokens, "total_sentences", with.Count, "sentences embedded"),
            new(tokens, "total_tokens_eval_sparsity_variance", totals.Rows, "tokens whose activations were replaced"),
            new(controls, "identity_changed_numbers", changed,
                "numbers of embeddings that differ in a bit when x is put back for x; 0 if the splice is right"),
        ];
    }
}
