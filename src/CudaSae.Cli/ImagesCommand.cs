using System.CommandLine;
using CudaSae.Activations;
using CudaSae.Backends;
using CudaSae.Files;
using CudaSae.Lab.Harvest;
using CudaSae.Lab.Insight.Images;
using CudaSae.Lab.Report;
using CudaSae.Runs;
using Spectre.Console;

namespace CudaSae.Cli;

/// <summary>The command cudasae images draws SAEs of pixels, or of a classifier's hidden layer, as pictures.</summary>
static class ImagesCommand
{
    const int Compared = 10_000;        // training images that atoms are compared with

    public static Command Create()
    {
        var runs = new Argument<string[]>("runs")
        {
            Description =
                "files or folders of SAEs: the first is shown latent by latent and gets the figures, all are compared",
            Arity = ArgumentArity.OneOrMore
        };
        var data = new Option<string?>("--data")
        {
            Description = "IDX file of images; the first run's held-out ones if not given"
        };
        var labels = new Option<string?>("--labels")
        {
            Description = "IDX file of their labels: class purity, and what a classifier loses"
        };
        var names = new Option<string?>("--classes") { Description = "names of the classes, separated by commas" };
        var classifier = new Option<string?>("--classifier")
        {
            Description = ".safetensors of harvest classifier: the SAEs read one of its layers"
        };
        var site = Options.New("--site", $"that layer: {string.Join(" or ", SmallClassifier.Sites)}",
            SmallClassifier.Sites[0]);
        var width = Options.New("--width", "pixels in a line of an image", 28, 1, 1 << 20);
        var rows = Options.New("--rows", "most images to show", 10_000L, 1L, long.MaxValue);
        var backend = Settings.NewBackend("where to compute; auto takes a GPU if there is one");
        var command = new Command("images", "Draw what SAEs of images learned, for the report.") { runs, data, labels,
            names, classifier, site, width, rows, backend };
        command.SetAction(parsed =>
        {
            var paths = parsed.GetValue(runs)!;
            var folder = SaePath.Folder(paths[0]);
            RunFolder.RequireFree(folder);
            using var model = parsed.GetValue(classifier) is { } file ? SmallClassifier.Load(file) : null;
            var read = model is null ? ((SmallClassifier, int)?)null
                : (model, SmallClassifier.LayerOf(parsed.GetValue(site)!));
            using var given = Open(paths[0], parsed.GetValue(data), model is not null);
            using var images = new ImageData(given.Looked.Rows.AtMost(parsed.GetValue(rows)), parsed.GetValue(width),
                parsed.GetValue(labels) is { } l ? IdxFile.ReadLabels(l) : null, parsed.GetValue(names)?.Split(','),
                read);
            if (images.Activations.Count < 1)
                throw new SaeException("no images are selected; give --data, and --rows of 1 or more");
            var members = new Members();
            var chapter = Look(paths, images, given, parsed.GetValue(backend), Command(parsed), members);
            RunFolder.Add(folder, chapter);
            foreach (var figure in chapter.Figures) StyledText.Line($"[bold]{figure.Title}[/]: {figure.Finding}");
            StyledText.Line($"Saved in [bold]{Path.Combine(folder, Chapter.FolderName, chapter.Id + ".json")}[/]; ",
                $"show it with: cudasae report {folder}");
            return members.ExitCode;
        });
        return command;
    }

    /// <summary>Returns the command line as it was given.</summary>
    internal static string Command(ParseResult parsed) =>
        $"cudasae {string.Join(' ', parsed.Tokens.Select(t => t.Value.Contains(' ') ? $"\"{t.Value}\"" : t.Value))}";

    /// <summary>The images to show, and the training images of the run if they are different ones.</summary>
    sealed record Opened(SaeRows Looked, RunData? Trained) : IDisposable
    {
        public RowSlice Train => Trained?.Train ?? Looked.Train;

        public void Dispose()
        {
            Looked.Dispose();
            Trained?.Dispose();
        }
    }

    static Opened Open(string run, string? data, bool hidden)
    {
        var record = SaeRows.RecordOf(run);
        var own = record is not null && !hidden && record.Data.All(IdxFile.IsNamed);
        if (data is null && !own)
            throw new SaeException($"{run} was not trained on images of an IDX file; name some with "
                + $"--data{(hidden ? "" : ", and the --classifier whose layer it reads")}");
        var looked = SaeRows.Open(run, record, data is null ? [] : [data], null, advice: "name some with --data");
        try { return new(looked, own && data is not null ? RunData.Reopen(run, record!, Console.WriteLine) : null); }
        catch { looked.Dispose(); throw; }
    }

    /// <param name="members">Records an SAE after the first one that cannot be compared.</param>
    static Chapter Look(
        string[] paths, ImageData images, Opened given, BackendKind backend, string command, Members members)
    {
        List<ImageStudy> studies = [];
        try
        {
            studies.Add(Study(paths[0], images, backend));
            foreach (var path in paths.Skip(1))
                if (members.Get(path, () => Study(path, images, backend), Members.IsOfFile) is { } other)
                    studies.Add(other);
            if (images.Classifier is not null) return ImageChapter.Of(studies, images, null, command);
            using var measures = new AtomMeasures(given.Train.AtMost(Compared), images);
            return ImageChapter.Of(studies, images, measures, command);
        }
        finally
        {
            foreach (var study in studies) study.Dispose();
        }
    }

    static ImageStudy Study(string path, ImageData images, BackendKind backend)
    {
        var batchRows = SaeRows.BatchRows(images.Activations.Count);
        var study = new ImageStudy(SaePath.Name(path), Sae.Load(path, backend, batchRows));
        try
        {
            study.Look(images);
            return study;
        }
        catch
        {
            study.Dispose();
            throw;
        }
    }
}
