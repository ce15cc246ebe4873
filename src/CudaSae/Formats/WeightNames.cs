using CudaSae.Files;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Formats;

/// <summary>A matrix in a file.</summary>
/// <param name="Transposed">Whether it is stored the other way round than here, where both matrices hold a row a latent
/// and W_skip a row an output.</param>
sealed record StoredMatrix(string Name, bool Transposed = false);

/// <summary>Under which names, and which way round, a layout keeps the weights. Reading checks every shape before
/// anything of that size is allocated, and refuses tensors that no
/// part of the spec accounts for: a weight that is left out would change the function.</summary>
sealed record WeightNames(StoredMatrix Encoder, StoredMatrix Decoder, string EncoderBias, string DecoderBias)
{
    public StoredMatrix Skip { get; init; } = new("W_skip");
    public string Threshold { get; init; } = "threshold";
    public string MagnitudeBias { get; init; } = "b_mag";
    public string MagnitudeScale { get; init; } = "r_mag";

    /// <summary>Whether <see cref="Threshold"/> holds log θ.</summary>
    public bool LogThreshold { get; init; }

    /// <summary>Whether a file may lack b_dec, which is then 0.</summary>
    public bool MayLackDecoderBias { get; init; }

    /// <summary>Tensors beside the weights that the format reads by itself or that say nothing about the
    /// function.</summary>
    public string[] Beside { get; init; } = [];

    /// <summary>d, n and d_out, by the shapes of the matrices.</summary>
    public (int Input, int Latents, int Output) Widths(TensorFile file)
    {
        var (n, d) = Extents(file, Encoder);
        var (latents, output) = Extents(file, Decoder);
        return latents == n ? (d, n, output)
            : throw file.Bad($"{Encoder.Name} has {n} latents, {Decoder.Name} {latents}");
    }

    static (int Rows, int Columns) Extents(TensorFile file, StoredMatrix matrix)
    {
        var shape = Find(file, matrix.Name).Shape;
        if (shape.Length != 2 || shape.Any(e => e is < 1 or > int.MaxValue))
            throw Unlike(file, matrix.Name, "a matrix");
        return matrix.Transposed ? ((int)shape[1], (int)shape[0]) : ((int)shape[0], (int)shape[1]);
    }

    /// <summary>The weights of an SAE of that spec. One θ may stand for all latents. θ below 0 reads as 0, which is the
    /// same behind the ReLU of every published JumpReLU.</summary>
    public SaeParameters Read(TensorFile file, SaeSpec spec)
    {
        Check(file, spec);
        var p = new SaeParameters(spec);
        try
        {
            file.Matrix(Encoder.Name, p.WEnc, Encoder.Transposed);
            file.Matrix(Decoder.Name, p.WDec, Decoder.Transposed);
            if (p.WSkip.Rows > 0) file.Matrix(Skip.Name, p.WSkip, Skip.Transposed);
            foreach (var (name, vector) in Vectors(p.BEnc, p.BDec, p.BMag, p.RMag, p.Threshold))
            {
                if (!file.Tensors.ContainsKey(name)) continue;
                if (name == Threshold && IsOne(file, name)) Array.Fill(vector, (float)file.Scalar(name));
                else file.Vector(name, vector.Length).CopyTo(vector, 0);
            }
            for (var f = 0; f < p.Threshold.Length; f++)
                p.Threshold[f] = LogThreshold ? MathF.Exp(p.Threshold[f]) : MathF.Max(0, p.Threshold[f]);
            return p;
        }
        catch
        {
            p.Dispose();
            throw;
        }
    }

    static bool IsOne(TensorFile file, string name) =>
        file.Tensors.TryGetValue(name, out var tensor) && tensor.Shape.All(extent => extent == 1);

    void Check(TensorFile file, SaeSpec spec)
    {
        long n = spec.Latents, d = spec.InputWidth, output = spec.OutputWidth;
        HashSet<string> known = [.. Beside];
        Expect(Encoder.Name, Encoder.Transposed ? [d, n] : [n, d]);
        Expect(Decoder.Name, Decoder.Transposed ? [output, n] : [n, output]);
        Expect(EncoderBias, [n]);
        known.Add(DecoderBias);
        if (!MayLackDecoderBias || file.Tensors.ContainsKey(DecoderBias)) Expect(DecoderBias, [output]);
        if (spec.Transcoder is { Skip: true }) Expect(Skip.Name, Skip.Transposed ? [d, output] : [output, d]);
        if (spec.Selection is Selection.JumpRelu && !Beside.Contains(Threshold))
        {
            if (IsOne(file, Threshold)) known.Add(Threshold);
            else Expect(Threshold, [n]);
        }
        if (spec.Selection is Selection.Gated)
        {
            Expect(MagnitudeBias, [n]);
            Expect(MagnitudeScale, [n]);
        }
        if (file.Tensors.Keys.FirstOrDefault(k => !known.Contains(k)) is { } stray)
            throw file.Bad($"tensor {stray} has no place in a {Describe.Selection(spec)} of its configuration");

        void Expect(string name, long[] shape)
        {
            if (!Find(file, name).Shape.AsSpan().SequenceEqual(shape))
                throw Unlike(file, name, $"[{string.Join(", ", shape)}]");
            known.Add(name);
        }
    }

    /// <summary>The tensors of a file with these weights.</summary>
    public List<TensorToWrite> Tensors(Draft draft)
    {
        List<TensorToWrite> tensors = [Of(Encoder, draft.WEnc), Of(Decoder, draft.WDec)];
        if (draft.WSkip.Rows > 0) tensors.Add(Of(Skip, draft.WSkip));
        float[] threshold = LogThreshold ? [.. draft.Threshold.Select(t => MathF.Log(t))] : draft.Threshold;
        foreach (var (name, vector) in Vectors(draft.BEnc, draft.BDec, draft.BMag, draft.RMag, threshold))
            tensors.Add(TensorToWrite.Of(name, vector));
        return tensors;
    }

    IEnumerable<(string Name, float[] Vector)> Vectors(float[] bEnc, float[] bDec, float[] bMag, float[] rMag,
        float[] threshold) =>
        ((string, float[])[])[(EncoderBias, bEnc), (DecoderBias, bDec), (MagnitudeBias, bMag), (MagnitudeScale, rMag),
            (Threshold, threshold)] is var all
            ? all.Where(v => v.Item2.Length > 0) : [];

    static TensorToWrite Of(StoredMatrix stored, Matrix matrix) =>
        stored.Transposed ? TensorToWrite.Transposed(stored.Name, matrix) : TensorToWrite.Of(stored.Name, matrix);

    static StoredTensor Find(TensorFile file, string name) =>
        file.Tensors.TryGetValue(name, out var tensor) ? tensor
            : throw file.Bad($"it holds no tensor {name} (it has {string.Join(", ", file.Tensors.Keys.Take(8))})");

    static SaeException Unlike(TensorFile file, string name, string expected) =>
        file.Bad($"tensor {name} is [{string.Join(", ", file.Tensors[name].Shape)}], {expected} was expected");
}
