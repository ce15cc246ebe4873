using System.Text.Json.Serialization;
using CudaSae.Text;

namespace CudaSae.Distributed;

/// <summary>The order in which several ranks add the parts of a reconstruction. It determines which runs have the same
/// bits.</summary>
[JsonConverter(typeof(NamedEnum<SumOrder>))]
enum SumOrder
{
    /// <summary>The sum continues from rank to rank in ascending order of the latent. The bits are those of one
    /// process, for any number of ranks.</summary>
    Chain,
    /// <summary>Each rank adds its own latents. The partial sums are added in the order of the ranks within a machine,
    /// then in the order of the machines. The bits depend on the number of ranks and of ranks on a machine.</summary>
    Ordered,
    /// <summary>Products are rounded to integers of 32 bits with a scale for each row, and integers are added. The bits
    /// are the same for every number of ranks, one process included, and differ from those of
    /// <see cref="Chain"/>.</summary>
    Fixed,
}
