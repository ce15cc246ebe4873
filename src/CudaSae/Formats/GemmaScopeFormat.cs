using CudaSae.Data;
using CudaSae.Model;

namespace CudaSae.Formats;

/// <summary>Gemma Scope (Google DeepMind): params.npz with W_enc [d, n], W_dec [n, d_out], b_enc, b_dec and threshold; some releases write w_enc and w_dec. JumpReLU alone; b_dec is not
/// subtracted from the input. The file says neither whose activations these are nor whether it is a transcoder: as in the published repositories, the folder's name does.</summary>
public sealed class GemmaScopeFormat : ISaeFormat
{
    const string FileName = "params.npz", Word = "transcoder", Scale = "scaling_factor";
    static readonly WeightNames Names = new(new("W_enc", Transposed: true), new("W_dec"), "b_enc", "b_dec") { Beside = [Scale] };

    public string Name => "gemma-scope";
    public string Layout => $"{FileName}, or a folder with it";
    public bool Recognizes(string path) => File.Exists(FileOf(path)) && Path.GetExtension(FileOf(path)) == ".npz";

    static bool SaysTranscoder(string path) => Path.GetFullPath(path).Contains(Word, StringComparison.OrdinalIgnoreCase);

    static string FileOf(string path) => Path.GetExtension(path) == ".npz" ? path : Path.Combine(path, FileName);

    public SaeModel Read(string path)
    {
        using var file = new NpzFile(FileOf(path));
        var names = file.Tensors.ContainsKey("w_enc") ? Names with { Encoder = Names.Encoder with { Name = "w_enc" }, Decoder = new("w_dec") } : Names;
        var (d, n, output) = names.Widths(file);
        var transcodes = output != d || SaysTranscoder(path);
        var spec = Describe.Checked(new()
        {
            InputWidth = d,
            Latents = n,
            Selection = Describe.JumpRelu(n),
            Transcoder = transcodes ? new(output) : null,
            DecoderNorm = DecoderNorm.Free,
            PreEncoderBias = false,
        }, file.Path);
        if (file.Tensors.ContainsKey(Scale) && file.Vector(Scale, n).Any(f => f != 1)) throw file.Bad($"its {Scale} is not 1 throughout, and nothing says what it scales");
        return new(spec, names.Read(file, spec));
    }

    public IReadOnlyList<string> Write(string path, SaeModel model)
    {
        using var draft = new Draft(model, Name);
        draft.Allow();
        draft.AllowTranscoder(any: true, skip: false, otherWidth: true);
        draft.AsJumpRelu();
        draft.SubtractBias(false);
        if (model.Spec.Transcoder is not null && !SaysTranscoder(path)) draft.Note($"{FileName} does not say that it is a transcoder: keep '{Word}' in the folder's name");
        if (model.About.Count > 0) draft.Note($"{FileName} has no room for where the activations come from");
        NpzWriter.Write(FileOf(path), Names.Tensors(draft));
        return draft.Notes;
    }
}
