using System.CommandLine;
using CudaSae.Files;
using CudaSae.Lab.Insight.Probes;
using CsvHelper;

namespace CudaSae.Cli;

/// <summary>The command cudasae labels tokens writes answers to questions about the tokens of harvested rows.</summary>
static class LabelsCommand
{
    public static Command Create()
    {
        var data = new Argument<string>("data") { Description = ".npy that harvest wrote, with its .jsonl beside it" };
        var output = new Argument<string>("out")
        {
            Description = ".csv to write for probe --labels, one line for each row"
        };
        var tokens = new Command("tokens",
            "Label each token with its form, its place in the sentence, and its neighbours.") { data, output };
        tokens.SetAction(parsed =>
        {
            string from = parsed.GetValue(data)!, to = parsed.GetValue(output)!;
            using var rows = Activations.Open([from]);
            var labels = TokenLabels.Read(Path.ChangeExtension(from, ".jsonl"), rows.Rows);
            AtomicFile.Write(to, stream => Write(stream, labels));
            StyledText.Line($"{labels.Names.Length} questions about {rows.Rows} tokens in [bold]{to}[/]");
            return 0;
        });
        return new Command("labels", "Write labels of tokens for probe.") { tokens };
    }

    static void Write(Stream stream, TokenLabels labels)
    {
        using var text = new StreamWriter(stream, leaveOpen: true);
        using var csv = CsvWriter.Create(text);
        foreach (var name in labels.Names) csv.WriteField(name);
        csv.EndRecord();
        for (var row = 0; row < labels.Answers[0].Length; row++)
        {
            foreach (var answers in labels.Answers) csv.WriteField(answers[row]);
            csv.EndRecord();
        }
    }
}
