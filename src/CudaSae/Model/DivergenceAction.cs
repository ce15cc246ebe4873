using System.Text.Json.Serialization;
using CudaSae.Text;

namespace CudaSae.Model;

/// <summary>What a run does when its loss is no number any more, or rises far above what it was.</summary>
[JsonConverter(typeof(NamedEnum<DivergenceAction>))]
public enum DivergenceAction
{
    /// <summary>Stop with an error; the checkpoints stay.</summary>
    Stop,
    /// <summary>Go back to the newest checkpoint and pass over the batches since, as Chowdhery et al. 2022 did by hand
    /// (PaLM, arXiv 2204.02311, section 5.1). Needs CheckpointEvery.</summary>
    Rollback,
}
