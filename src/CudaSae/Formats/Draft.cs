using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Formats;

/// <summary>An SAE during its conversion to a layout. It starts with the model's matrices, vectors and selection, and
/// replaces them by those of an equivalent SAE if the layout requires it. Each replacement adds a note. An SAE without
/// an equivalent is refused before anything is written.</summary>
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
    /// <summary>The running threshold of BatchTopK; −1 for other selections, which means "not measured" in
    /// dictionary_learning.</summary>
    public float BatchThreshold { get; } = -1;

    /// <summary>The notes, one line for each part that is written in another form than it was read.</summary>
    public IReadOnlyList<string> Notes => notes;

    public int K => Spec.ActiveAtInference;

    public void Note(string note) => notes.Add(note);

    public SaeException Refusal(string why) => new($"{format} cannot express this SAE: {why}");

    void Take(SaeParameters p) =>
        (WEnc, WDec, WSkip, BEnc, BDec, Threshold, BMag, RMag) =
            (p.WEnc, p.WDec, p.WSkip, p.BEnc, p.BDec, p.Threshold, p.BMag, p.RMag);

    /// <summary>Refuses normalizations of rows other than the given ones, and several sites, which only the layout of
    /// this project can describe.</summary>
    public void Allow(params InputNormalization[] normalizations)
    {
        if (Spec.Sites is { Length: > 1 } sites) throw Refusal($"it is a crosscoder of {sites.Length} sites");
        if (Model.Normalization == InputNormalization.None || normalizations.Contains(Model.Normalization)) return;
        throw Refusal($"its rows are normalized first ({Describe.Normalization(Model.Normalization)}), which "
            + "weights cannot express");
    }

    /// <summary>Refuses a transcoder that the layout cannot express.</summary>
    public void AllowTranscoder(bool any, bool skip, bool otherWidth)
    {
        if (Spec.Transcoder is not { } transcoder) return;
        if (!any) throw Refusal("it is a transcoder");
        if (transcoder.Skip && !skip) throw Refusal("it has a skip connection");
        if (transcoder.OutputWidth != Spec.InputWidth && !otherWidth)
            throw Refusal($"it reads {Spec.InputWidth} numbers and predicts {transcoder.OutputWidth}; in this layout "
                + "both widths are equal");
    }

    /// <summary>Converts the selection to the JumpReLU that computes the same function.</summary>
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
                throw Refusal($"{Describe.Selection(Spec)} selects by rank, which a threshold cannot express; train "
                    + "with BatchTopK or JumpReLU for that");
        }
    }

    void Uniform(float threshold, int room)
    {
        Threshold = [.. Enumerable.Repeat(threshold, BEnc.Length)];
        Spec = Spec with
        {
            Selection = new Selection.JumpRelu(InitialThreshold: 0, Form: ThresholdForm.Direct, Room: room),
            Nested = null,
            Penalty = null
        };
    }

    /// <summary>Sets whether b_dec is subtracted from the input before encoding, and changes b_enc accordingly: WEnc (x
    /// − b_dec) + b = WEnc x + (b − WEnc b_dec).</summary>
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
