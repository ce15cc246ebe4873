using System.Globalization;
using System.Text.Json.Nodes;
using CudaSae.Backends;
using CudaSae.Distributed;

namespace CudaSae.Training.Checkpoints;

/// <summary>The place of one rank's rows in the arrays of all latents, and the metadata of its file that state
/// it.</summary>
static class ShardInfo
{
    /// <summary>Key of the metadata with the offsets of a file's tensors in the whole tensors, in the form of PyTorch's
    /// Hugging Face storage (torch.distributed.checkpoint).</summary>
    public const string Key = "DCP_SHARDING_INFO";

    const string Offsets = "saved_offsets", Shapes = "global_shapes";

    /// <summary>Keys of the metadata that hold the number of the rank and the number of ranks.</summary>
    public const string Rank = "rank", Ranks = "ranks";

    /// <summary>The shape of an array over all ranks.</summary>
    public static long[] WholeShape(StateArray array, IBackend backend) =>
        array.ByLatent && backend.Shard is not null ? [backend.Spec.Latents, .. array.Shape[1..]] : array.Shape;

    /// <summary>The place of a rank's bytes in an array of all latents.</summary>
    public static long Start(StateArray array, ShardPlan? shard) =>
        array.ByLatent && shard is not null ? array.Bytes / array.Shape[0] * shard.First : 0;

    /// <summary>Returns the arrays that a rank writes: those of its own latents, and on rank 0 also the arrays of which
    /// every rank has a copy.</summary>
    public static StateArray[] Written(IReadOnlyList<StateArray> arrays, ShardPlan shard) =>
        [.. arrays.Where(array => array.ByLatent || shard.IsRoot)];

    /// <summary>Adds to the metadata of a rank's file the number of the rank and the places of its rows.</summary>
    public static void Describe(Dictionary<string, string> metadata, IReadOnlyList<StateArray> arrays, IBackend backend)
    {
        var (offsets, shapes, shard) = (new JsonObject(), new JsonObject(), backend.Shard!);
        foreach (var array in arrays)
        {
            var first = array.ByLatent ? shard.First : 0;
            offsets[array.Name] = new JsonObject
            {
                [Offsets] = Numbers(array.Shape.Select((_, axis) => axis == 0 ? first : 0L)),
            };
            shapes[array.Name] = Numbers(WholeShape(array, backend));
        }
        metadata[Rank] = shard.Rank.ToString(CultureInfo.InvariantCulture);
        metadata[Ranks] = shard.Ranks.ToString(CultureInfo.InvariantCulture);
        metadata[Key] = offsets.ToJsonString();
        metadata[Shapes] = shapes.ToJsonString();
    }

    static JsonArray Numbers(IEnumerable<long> numbers) => new([.. numbers.Select(number => (JsonNode)number)]);
}
