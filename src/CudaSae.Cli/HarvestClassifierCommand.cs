using System.CommandLine;
using CudaSae.Activations;
using CudaSae.Files;
using CudaSae.Lab.Harvest;

namespace CudaSae.Cli;

/// <summary>The command cudasae harvest classifier writes the activations of a small image classifier, and trains the
/// classifier if it does not exist yet.</summary>
static class HarvestClassifierCommand
{
    static readonly ClassifierOptions Default = new();

    public static Command Create()
    {
        var images = new Option<string>("--images")
        {
            Description = "IDX file of images, packed or not", Required = true
        };
        var labels = new Option<string>("--labels") { Description = "IDX file of their labels", Required = true };
        var model = new Option<string>("--model")
        {
            Description =
                ".safetensors of the classifier: read if it exists, otherwise trained on these images and written",
            Required = true
        };
        var output = new Option<string?>("--out")
        {
            Description =
                ".npy to write, the labels beside it as OUT.labels.npy; without --site a file a site, OUT.hidden1.npy "
                    + "and OUT.hidden2.npy"
        };
        var site = new Option<string?>("--site")
        {
            Description = $"{string.Join(" or ", SmallClassifier.Sites)}; all if not given"
        };
        var hidden1 = Options.New("--hidden1", "width of the first hidden layer", Default.Hidden1, 1, 1 << 20);
        var hidden2 = Options.New("--hidden2", "width of the second hidden layer", Default.Hidden2, 1, 1 << 20);
        var epochs = Options.New("--epochs", "passes over the images", Default.Epochs, 1, int.MaxValue);
        var rate = Options.New("--learning-rate", "step size at the start; it falls to 0", Default.LearningRate, 0,
            1000);
        var seed = Options.New("--seed", "seed of weights and order", Default.Seed);
        var command = new Command("classifier",
            "Train a ReLU classifier of images on the first call, and write its hidden layers.") { images, labels,
                model, output, site, hidden1, hidden2, epochs, rate, seed };
        command.SetAction(parsed =>
        {
            using var source = Activations.Open([parsed.GetValue(images)!]);
            var classes = IdxFile.ReadLabels(parsed.GetValue(labels)!);
            using var classifier = LoadOrTrain(parsed.GetValue(model)!, source, classes, new()
            {
                Hidden1 = parsed.GetValue(hidden1), Hidden2 = parsed.GetValue(hidden2),
                Epochs = parsed.GetValue(epochs), LearningRate = parsed.GetValue(rate), Seed = parsed.GetValue(seed),
            });
            var (ce, accuracy) = ClassifierHarvest.Test(classifier, source, classes);
            StyledText.Line($"accuracy [bold]{accuracy:0.00 %}[/], cross-entropy {ce:0.0000} nats on {source.Rows} ",
                $"images of {parsed.GetValue(images)}");
            if (parsed.GetValue(output) is { } path) Write(classifier, source, classes, parsed.GetValue(site), path);
            return 0;
        });
        return command;
    }

    static SmallClassifier LoadOrTrain(string path, ActivationSource images, int[] labels, ClassifierOptions options)
    {
        if (File.Exists(path)) return SmallClassifier.Load(path);
        var classifier = ClassifierTraining.Train(images, labels, options,
            (epoch, loss) => StyledText.Line($"epoch {epoch + 1} of {options.Epochs}: cross-entropy {loss:0.0000}"));
        classifier.Save(path);
        StyledText.Line($"classifier {string.Join(" → ", classifier.Widths)} in [bold]{path}[/]");
        return classifier;
    }

    static void Write(SmallClassifier classifier, ActivationSource images, int[] labels, string? site, string path)
    {
        if (!path.EndsWith(".npy", StringComparison.Ordinal))
            throw new SaeException($"{path} is not a .npy file; give the output a name that ends in .npy");
        foreach (var one in site is null ? SmallClassifier.Sites : [site])
        {
            var to = site is null ? Path.ChangeExtension(path, $".{one}.npy") : path;
            ClassifierHarvest.Write(classifier, images, one, to);
            StyledText.Line($"{images.Rows} rows of {classifier.Widths[SmallClassifier.LayerOf(one)]} in ",
                $"[bold]{to}[/]");
        }
        ClassifierHarvest.WriteLabels(labels, Path.ChangeExtension(path, ".labels.npy"));
    }
}
