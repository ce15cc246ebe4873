using System.Runtime.InteropServices;
using CudaSae.Activations;
using CudaSae.Backends;
using CudaSae.Formats;
using CudaSae.Lab.Synthetic;
using CudaSae.Metrics;
using CudaSae.Model;
using CudaSae.Numerics;
using CudaSae.Runs;
using CudaSae.Training;

namespace CudaSae.Lab.Insight.Images;

/// <summary>Options of the SAE of a toy study.</summary>
/// <param name="Preset">The recipe.</param>
/// <param name="Latents">Number of latents.</param>
/// <param name="Rows">Number of rows of the hidden layer.</param>
/// <param name="Vectors">Number of rows that training takes in total.</param>
sealed record ToySaeOptions(string Preset, int Latents, int Rows = 65_536, long Vectors = 524_288);

/// <summary>A toy model, an SAE of its hidden layer, and the matching of the two dictionaries.</summary>
sealed class ToyStudy : IDisposable
{
    /// <summary>The norm of Wᵢ above which the model represents feature i.</summary>
    public const double Represented = 0.5;

    ToyStudy(ToyModel model, ActivationSource data, double active, SaeModel sae)
    {
        (Model, Data, ActiveFeatures, Sae) = (model, data, active, sae);
        Features = [.. Enumerable.Range(0, model.Options.Features).Where(i => model.Norm(i) > Represented)];
        (Latents, Cosines) = Match();
    }

    public ToyModel Model { get; }
    public SaeModel Sae { get; }

    /// <summary>Rows of the hidden layer, [rows, m]. The SAE is trained on the first nine tenths.</summary>
    public ActivationSource Data { get; }

    /// <summary>Mean number of active features of a row, over the rows with active features.</summary>
    public double ActiveFeatures { get; }

    /// <summary>The features that the model represents.</summary>
    public int[] Features { get; }

    /// <summary>The latent of each of <see cref="Features"/> in the best one-to-one matching by cosines; −1 for
    /// features without a latent.</summary>
    public int[] Latents { get; }

    /// <summary>⟨Ŵᵢ, d̂⟩ of each of <see cref="Features"/> with the decoder row of its latent. It is signed, because in
    /// superposition −Wᵢ may be another feature.</summary>
    public double[] Cosines { get; }

    /// <summary>The evaluation on the held-out rows.</summary>
    public Evaluation Evaluation { get; private init; } = null!;

    /// <summary>Share of the represented features whose cosine is above <see cref="Recovery.Threshold"/>.</summary>
    public double Recovered =>
        Features.Length == 0 ? 0 : (double)Cosines.Count(c => c > Recovery.Threshold) / Features.Length;

    /// <summary>Trains the toy model and the SAE.</summary>
    public static ToyStudy Run(ToyOptions options, ToySaeOptions sae)
    {
        var model = new ToyModel(options);
        model.Train();
        var (rows, active) = model.Harvest(sae.Rows);
        var data = ActivationSource.Of(MemoryMarshal.AsBytes<float>(rows).ToArray(), options.Hidden, InputType.Float32);
        var (trained, evaluation) =
            TrainSae(data, options, sae, (int)Math.Clamp(Math.Round(active), 1, Math.Min(sae.Latents, options.Hidden)));
        return new(model, data, active, trained) { Evaluation = evaluation };
    }

    static (SaeModel, Evaluation) TrainSae(ActivationSource data, ToyOptions options, ToySaeOptions sae, int k)
    {
        var preset = Preset.Named(sae.Preset);
        var (spec, config) = preset.Make(options.Hidden, sae.Latents, k,
            new() { BatchRows = 256, Vectors = sae.Vectors, Seed = options.Seed });
        spec.Validate();
        using var run = TrainingRun.New(RunData.Of(data, data.Rows / 10), spec, config, BackendKind.Cpu);
        run.Open();
        run.Begin(static _ => { });
        run.Runner.Train(null, new Silent());
        return (run.Runner.Model()!, run.Evaluate());
    }

    (int[] Latents, double[] Cosines) Match()
    {
        if (Features.Length == 0) return ([], []);
        using var gain = new Matrix(Features.Length, Sae.Spec.Latents);
        for (var i = 0; i < Features.Length; i++)
            for (var f = 0; f < gain.Columns; f++) gain[i][f] = (float)Cosine(Features[i], f);
        var latents = Assignment.Maximize(gain);
        return (latents, [.. latents.Select((f, i) => f < 0 ? 0 : Cosine(Features[i], f))]);
    }

    /// <summary>⟨Wᵢ, d_f⟩ / ‖Wᵢ‖‖d_f‖; 0 for a decoder row of zeros.</summary>
    public double Cosine(int feature, int latent)
    {
        var column = Model.Column(feature);
        var row = Sae.Parameters.WDec[latent];
        double dot = 0;
        for (var h = 0; h < column.Length; h++) dot += column[h] * row[h];
        var norms = Model.Norm(feature) * Matrix.Norm(row);
        return norms > 0 ? dot / norms : 0;
    }

    sealed class Silent : ITrainingObserver
    {
        public void Report(StepMetrics metrics) { }
        public void Saved(string path) { }
    }

    public void Dispose()
    {
        Sae.Dispose();
        Data.Dispose();
    }
}
