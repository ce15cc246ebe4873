using CudaSae.Files;
using CudaSae.Model;

namespace CudaSae.Formats;

/// <summary>Gemma Scope (Google DeepMind): params.npz with W_enc [d, n], W_dec [n, d_out], b_enc, b_dec and threshold;
/// some releases write w_enc and w_dec. JumpReLU alone; b_dec is not
/// subtracted from the input. The file does not say whose activations these are, nor, where d_out is d, whether it is
/// a transcoder.</summary>
sealed class GemmaScopeFormat : ISaeFormat
{
    const string FileName = "params.npz", Scale = "scaling_factor";
    static readonly WeightNames Names = new(new("W_enc", Transposed: true), new("W_dec"), "b_enc", "b_dec")
    {
        Beside = [Scale]
    };

    public string Name => "gemma-scope";
    public string Layout => $"{FileName}, or a folder with it";
    public bool Recognizes(string path) => File.Exists(FileOf(path)) && IsNamed(FileOf(path));

    static bool IsNamed(string path) => Path.GetExtension(path).Equals(".npz", StringComparison.OrdinalIgnoreCase);

    static string FileOf(string path) => IsNamed(path) && !Directory.Exists(path) ? path : Path.Combine(path, FileName);

    public SaeModel Read(string path)
    {
        using var file = new WeightFile(new NpzFile(FileOf(path)));
        var names = NamesIn(file);
        var (d, n, output) = names.Widths(file);
        var spec = Describe.Checked(new()
        {
            InputWidth = d,
            Latents = n,
            Selection = Describe.JumpRelu(n),
            Transcoder = output != d ? new(output) : null,
            DecoderNorm = DecoderNorm.Free,
            PreEncoderBias = false,
        }, file.Path);
        if (file.Tensors.ContainsKey(Scale) && file.Vector(Scale, n).Any(f => f != 1))
            throw file.Bad($"its {Scale} is not 1 throughout, and nothing says what it scales");
        return new(spec, names.Read(file, spec)) { KindIsAssumed = output == d };
    }

    static WeightNames NamesIn(TensorFile file) => Names with
    {
        Encoder = file.Tensors.ContainsKey("w_enc") ? Names.Encoder with { Name = "w_enc" } : Names.Encoder,
        Decoder = file.Tensors.ContainsKey("w_dec") ? Names.Decoder with { Name = "w_dec" } : Names.Decoder,
    };

    public IReadOnlyList<string> Write(string path, SaeModel model)
    {
        using var draft = new Draft(model, Name);
        draft.Allow();
        draft.AllowTranscoder(any: true, skip: false, otherWidth: true);
        draft.AsJumpRelu();
        draft.SubtractBias(false);
        if (model.Spec is { Transcoder: not null } spec && spec.OutputWidth == spec.InputWidth)
            draft.Note($"{FileName} does not say that it is a transcoder: --as transcoder reads it as one");
        if (model.About.Count > 0) draft.Note($"{FileName} has no room for where the activations come from");
        NpzWriter.Write(FileOf(path), Names.Tensors(draft));
        return draft.Notes;
    }
}
