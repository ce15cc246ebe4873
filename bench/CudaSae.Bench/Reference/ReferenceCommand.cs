using System.CommandLine;
using CudaSae.Cli;
using CudaSae.Files;

namespace CudaSae.Bench.Reference;

/// <summary>cudasae-bench reference: writes the generated pages of docs/reference.</summary>
static class ReferenceCommand
{
    public static Command Create()
    {
        var root = Options.New("--root", "the checkout", ".");
        var command = new Command("reference", "Write the generated pages of docs/reference.") { root };
        command.SetAction(parsed =>
        {
            var folder = Path.Combine(parsed.GetValue(root)!, "docs", "reference");
            if (!Directory.Exists(folder))
                throw new SaeException($"{folder} does not exist; name a checkout of CudaSae with --root",
                    kind: SaeErrorKind.Files);
            foreach (var (name, text) in ReferencePages.All())
                AtomicFile.WriteText(Path.Combine(folder, name), text);
            return 0;
        });
        return command;
    }
}
