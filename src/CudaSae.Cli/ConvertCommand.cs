using System.CommandLine;
using CudaSae.Formats;

namespace CudaSae.Cli;

/// <summary>The command cudasae convert writes a finished SAE in the layout of another project, or describes a
/// file.</summary>
static class ConvertCommand
{
    public static Command Create()
    {
        var from = new Argument<string>("in")
        {
            Description = "file or folder of an SAE, of any layout, in one file or in pieces, or a folder with SAEs "
                + "below it",
        };
        var to = new Argument<string?>("out")
        {
            Description = "file or folder to write; none to describe the input", Arity = ArgumentArity.ZeroOrOne,
        };
        var format = new Option<string>("--to")
        {
            Description = string.Join(", ", SaeFormats.All.Select(f => f.Name)),
            DefaultValueFactory = _ => SaeLensFormat.FormatName
        };
        var kind = new KindOption();
        var command = new Command("convert", "Convert an SAE into the format of another project.") { from, to, format };
        kind.AddTo(command);
        command.SetAction(parsed =>
        {
            var path = parsed.GetValue(from)!;
            var target = SaeFormats.Named(parsed.GetValue(format)!);
            var asked = kind.Of(parsed);
            if (ConvertFolder.Is(path)) return ConvertFolder.Run(path, parsed.GetValue(to), target, asked);
            var source = SaeFormats.Of(path);
            using var sae = SaeModel.Load(path, asked);
            Console.WriteLine($"{path}: {source.Name}, {sae.Summary}");
            PrintReading(sae, asked);
            if (parsed.GetValue(to) is not { } output) return 0;
            Refuse(output, target);
            RunFolder.RequireFreeFor(output);
            Print(target.Write(output, sae));
            Console.WriteLine($"{output}: {target.Name}");
            return 0;
        });
        return command;
    }

    /// <summary>Prints what the reader assumed and changed, one line each.</summary>
    internal static void PrintReading(SaeModel sae, SaeKind? asked)
    {
        if (sae.KindIsAssumed) Print([Assumption(asked)]);
        Print(sae.Notes);
    }

    static string Assumption(SaeKind? asked) =>
        "its files do not state whether it is an SAE or a transcoder: " + asked switch
        {
            null => "an SAE is assumed (--as transcoder reads it as a transcoder)",
            SaeKind.Sae => "it is read as an SAE, as --as states",
            _ => "it is read as a transcoder, as --as states",
        };

    internal static void Print(IEnumerable<string> notes)
    {
        foreach (var note in notes) Console.WriteLine($"  {note}");
    }

    /// <summary>Refuses to write a second layout into a folder, because it would be unclear which one is
    /// meant.</summary>
    static void Refuse(string output, ISaeFormat target)
    {
        if ((File.Exists(output) || Directory.Exists(output))
            && SaeFormats.All.FirstOrDefault(f => f != target && f.Recognizes(output)) is { } other)
            throw new SaeException($"{output} already holds a {other.Name} SAE; name another folder");
    }
}
