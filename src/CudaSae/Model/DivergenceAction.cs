using System.Text.Json.Serialization;
using CudaSae.Text;

namespace CudaSae.Model;

/// <summary>The reaction of a run when its loss is not finite, or rises far above its running mean.</summary>
[JsonConverter(typeof(NamedEnum<DivergenceAction>))]
public enum DivergenceAction
{
    /// <summary>The run stops with an error; its checkpoints remain.</summary>
    Stop,
    /// <summary>The run returns to its newest checkpoint and skips the batches since, as Chowdhery et al. 2022 did by
    /// hand (PaLM, arXiv 2204.02311, section 5.1). This requires CheckpointEvery.</summary>
    Rollback,
}
