using System.Globalization;
using CudaSae.Model;

namespace CudaSae.Cli;

/// <summary>Parses the shapes of the command line.</summary>
static class BenchShapes
{
    /// <summary>The four configurations of the cost model: small, middle, very wide, large batches.</summary>
    const string Paper = "4096x768x24576x32,8192x2304x65536x64,8192x4096x1048576x64,32768x4096x131072x64";

    /// <summary>Returns the spec and config unchanged, or with each of the shapes in a text such as
    /// 1024x512x4096x32,1024x768x8192x32.</summary>
    /// <exception cref="SaeException">The text names no shape, or k does not set the code of the method.</exception>
    public static IEnumerable<(SaeSpec Spec, TrainConfig Config)> Parse(string text, SaeSpec spec, TrainConfig config)
    {
        if (text.Length == 0) return [(spec, config)];
        return [.. (text == "paper" ? Paper : text).Split(',')
            .Select(one => With(one.Split('x')
                .Select(number => int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var value)
                    ? value : 0)
                .ToArray() is [> 0, > 0, > 0, > 0] shape
                ? shape
            : throw new SaeException($"--shapes {one}: it must read ROWSxWIDTHxLATENTSxK, such as 1024x512x4096x32, or "
                + "paper"),
                spec, config))];
    }

    static (SaeSpec, TrainConfig) With(int[] shape, SaeSpec spec, TrainConfig config)
    {
        if (spec.Selection is not Selection.TopK { InitialK: 0 } || spec.Transcoder is not null
            || spec.Sites is not null || spec.Nested is not null)
            throw new SaeException("--shapes changes plain TopK only; for other methods give one shape with "
                + "--input-width, --latents and --k");
        var aux = spec.Aux is null ? null : spec.Aux with { K = Math.Min(spec.Aux.K, shape[2]) };
        return ((spec with
        {
            InputWidth = shape[1],
            Latents = shape[2],
            Selection = new Selection.TopK(shape[3]),
            Aux = aux
        })
            .Validate(),
            (config with { BatchRows = shape[0], Vectors = Math.Max(config.Vectors, 1000L * shape[0]) }).Validate());
    }
}
