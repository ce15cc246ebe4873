using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Formats;

/// <summary>An SAE on its way into a layout: the model's matrices, and vectors and a selection that become those of an
/// equal SAE where the layout has no other. Each change of that kind
/// leaves a note; what has no equal is refused, before anything is written.</summary>
sealed class Draft : IDisposable
{
    readonly string format;
    readonly List<string> notes = [];
    SaeParameters? own;

    public Draft(SaeModel model, string format)
    {
        this.format = format;
        (Spec, Model) = (model.Spec, model);
        Take(model.Parameters);
        if (Spec.Selection is Selection.BatchTopK) BatchThreshold = model.Parameters.BatchThreshold;
    }

    public SaeModel Model { get; }
    public SaeSpec Spec { get; private set; }
    public Matrix WEnc { get; private set; } = null!;
    public Matrix WDec { get; private set; } = null!;
    public Matrix WSkip { get; private set; } = null!;
    public float[] BEnc { get; private set; } = [];
    public float[] BDec { get; private set; } = [];
    public float[] Threshold { get; private set; } = [];
    public float[] BMag { get; private set; } = [];
    public float[] RMag { get; private set; } = [];
    /// <summary>The running threshold of BatchTopK; −1, which dictionary_learning means by "not measured", for
    /// others.</summary>
    public float BatchThreshold { get; } = -1;

    /// <summary>A line for each thing that is written otherwise than it was read.</summary>
    public IReadOnlyList<string> Notes => notes;

    public int K => Spec.ActiveAtInference;

    public void Note(string note) => notes.Add(note);

    public SaeException Refusal(string why) => new($"{format} cannot express this SAE: {why}");

    void Take(SaeParameters p) =>
        (WEnc, WDec, WSkip, BEnc, BDec, Threshold, BMag, RMag) =
            (p.WEnc, p.WDec, p.WSkip, p.BEnc, p.BDec, p.Threshold, p.BMag, p.RMag);

    /// <summary>Refuses a normalization of the rows other than those named, and several sites, which no published
    /// layout but this project's own describes.</summary>
    public void Allow(params InputNormalization[] normalizations)
    {
        if (Spec.Sites is { Length: > 1 } sites) throw Refusal($"it is a crosscoder of {sites.Length} sites");
        if (Model.Normalization == InputNormalization.None || normalizations.Contains(Model.Normalization)) return;
        throw Refusal($"its rows are normalized first ({Describe.Normalization(Model.Normalization)}), which no "
            + "weights can stand for");
    }

    /// <summary>Refuses a transcoder, or one that differs from what the layout has room for.</summary>
    public void AllowTranscoder(bool any, bool skip, bool otherWidth)
    {
        if (Spec.Transcoder is not { } transcoder) return;
        if (!any) throw Refusal("it is a transcoder");
        if (transcoder.Skip && !skip) throw Refusal("it has a skip connection");
        if (transcoder.OutputWidth != Spec.InputWidth && !otherWidth)
            throw Refusal($"it reads {Spec.InputWidth} numbers and predicts {transcoder.OutputWidth}; there both have "
                + "one width");
    }

    /// <summary>The JumpReLU that is the same function.</summary>
    public void AsJumpRelu()
    {
        switch (Spec.Selection)
        {
            case Selection.JumpRelu: return;
            case Selection.Gated:
                (Spec, own) = Export.AsJumpRelu(Spec, Model.Parameters);
                Take(own);
                Note("Gated is written as the equal JumpReLU (θ = max(0, b_mag − e^r b_gate))");
                return;
            case Selection.Relu relu:
                Uniform(0, relu.Room);
                Note("ReLU is written as JumpReLU with θ = 0");
                return;
            case Selection.BatchTopK:
                Uniform(MathF.Max(0, BatchThreshold), Describe.Room(Spec.Latents));
                Note("BatchTopK is written as the JumpReLU of its running threshold, θ = "
                    + FormattableString.Invariant($"{BatchThreshold:g6}"));
                return;
            default:
                throw Refusal($"{Describe.Selection(Spec)} chooses by rank, which no threshold does; train with "
                    + "BatchTopK or JumpReLU for that");
        }
    }

    void Uniform(float threshold, int room)
    {
        Threshold = [.. Enumerable.Repeat(threshold, Spec.Latents)];
        Spec = Spec with
        {
            Selection = new Selection.JumpRelu(InitialThreshold: 0, Form: ThresholdForm.Direct, Room: room),
            Nested = null,
            Penalty = null
        };
    }

    /// <summary>Has b_dec subtracted from the input before encoding, or not, by moving WEnc b_dec between the two: WEnc
    /// (x − b_dec) + b = WEnc x + (b − WEnc b_dec).</summary>
    public void SubtractBias(bool subtract)
    {
        if (Spec.PreEncoderBias == subtract || subtract && Spec.Transcoder is not null) return;
        var sign = subtract ? 1 : -1;
        (BEnc, BMag) = ([.. BEnc], [.. BMag]);
        Folding.AddEncodedBias(WEnc, BDec, BEnc, sign);
        if (BMag.Length > 0) Folding.AddEncodedBias(WEnc, BDec, BMag, sign, RMag);
        Spec = Spec with { PreEncoderBias = subtract };
        if (BDec.All(b => b == 0)) return;
        Note(subtract ? "b_enc + W_enc b_dec is written as b_enc: this layout subtracts b_dec from the input"
            : "b_enc − W_enc b_dec is written as b_enc: this layout does not subtract b_dec from the input");
    }

    public void Dispose() => own?.Dispose();
}
