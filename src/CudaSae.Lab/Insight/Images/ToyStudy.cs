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

/// <summary>How the SAE of a toy study is trained.</summary>
/// <param name="Preset">Its recipe.</param>
/// <param name="Latents">n of the SAE.</param>
/// <param name="Rows">Rows of the hidden layer that it is trained on.</param>
/// <param name="Vectors">Rows that it sees in all.</param>
sealed record ToySaeOptions(string Preset, int Latents, int Rows = 65_536, long Vectors = 524_288);

/// <summary>A toy model, an SAE of its hidden layer, and how the two dictionaries match.</summary>
sealed class ToyStudy : IDisposable
{
    /// <summary>A feature of a longer Wᵢ is one that the model represents.</summary>
    public const double Represented = 0.5;

    ToyStudy(ToyModel model, ActivationSource data, double active, SaeModel sae)
    {
        (Model, Data, ActiveFeatures, Sae) = (model, data, active, sae);
        Features = [.. Enumerable.Range(0, model.Options.Features).Where(i => model.Norm(i) > Represented)];
        (Latents, Cosines) = Match();
    }

    public ToyModel Model { get; }
    public SaeModel Sae { get; }

    /// <summary>Rows of the hidden layer, [rows, m]; the SAE is trained on the first nine tenths.</summary>
    public ActivationSource Data { get; }

    /// <summary>Mean active features of a row, of the rows that have any.</summary>
    public double ActiveFeatures { get; }

    /// <summary>Features that the model represents.</summary>
    public int[] Features { get; }

    /// <summary>The latent of each of <see cref="Features"/> under the best one-to-one matching of cosines; −1 where
    /// there are too few latents.</summary>
    public int[] Latents { get; }

    /// <summary>⟨Ŵᵢ, d̂⟩ of each of <see cref="Features"/> with its latent's decoder row, signed: in superposition −Wᵢ
    /// may be another feature.</summary>
    public double[] Cosines { get; }

    /// <summary>On the rows that the SAE was not trained on.</summary>
    public Evaluation Evaluation { get; private init; } = null!;

    /// <summary>Share of the represented features whose cosine is above <see cref="Recovery.Threshold"/>.</summary>
    public double Recovered =>
        Features.Length == 0 ? 0 : (double)Cosines.Count(c => c > Recovery.Threshold) / Features.Length;

    /// <summary>Trains both.</summary>
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
        var held = data.Rows / 10;
        var start = new TrainingStart(data, data.Rows - held, spec, config);
        using var backend =
            BackendFactory.Create(BackendKind.Cpu, spec, config, data.Type, static (_, _) => { }, out _);
        var parameters = start.Weights(spec, config);
        backend.SetParameters(parameters);
        new Trainer(backend, data, data.Rows - held, start.Scale, null,
            new Silent()).Run(default, CancellationToken.None);
        var evaluation = Evaluator.Run(backend, data, data.Rows - held, held, start.Scale);
        backend.GetParameters(parameters);
        Export.Finish(spec, config, parameters, start.Scale);
        return (new(spec, parameters), evaluation);
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
