using System.Diagnostics.CodeAnalysis;
using CudaSae.Backends;
using CudaSae.Numerics;
using CudaSae.Runs;

namespace CudaSae.Cli;

/// <summary>Members that train at once on the same batches.</summary>
sealed record SweepGroup(SweepMember[] Members, long Bytes, long FreeBytes, string Where)
{
    public override string ToString() =>
        Members.Length == 1
            ? $"{Members[0].Name} alone: {MemoryPlan.Format(Bytes)} of the {MemoryPlan.Format(FreeBytes)} that are "
                + $"free in {Where}"
        : $"{Members.Length} SAEs share each batch: {MemoryPlan.Format(Bytes)} of the {MemoryPlan.Format(FreeBytes)} "
            + $"that are free in {Where}";
}

static class SweepGroups
{
    const double Share = 0.9;      // share of free memory; the rest is for the initial statistics and the system

    /// <summary>Plans groups of as many members as memory holds, in the order of the grid. The sequence is lazy,
    /// because free memory is read when a group begins.</summary>
    /// <param name="most">Members of a group; 0 for no limit.</param>
    /// <param name="failed">Records a member that does not fit alone; the others are planned without it.</param>
    public static IEnumerable<SweepGroup> Plan(
        SweepMember[] members, BackendKind kind, InputType type, int most, Action<SweepMember, SaeException> failed)
    {
        var left = members.ToList();
        while (left.Count > 0)
        {
            var (free, where) = BackendFactory.Free(kind);
            var group = new List<SweepMember>();
            long bytes = 0;
            foreach (var member in left.ToArray())
            {
                if (most > 0 && group.Count == most) break;
                if (group.Count > 0 && !SharedRuns.CanShare(group[0].Config, member.Config)) continue;
                var plan = BackendFactory.PlanFor(kind, member.Spec, member.Config, type);
                if (kind == BackendKind.Cpu && member.Config is { AsyncCheckpoints: true, CheckpointEvery: > 0 })
                    plan.Add("copy of the state for checkpoints, at most", plan.TotalBytes);
                if (group.Count == 0 && !Fits(plan, free, where, out var why))
                {
                    failed(member, why);
                    left.Remove(member);
                    continue;
                }
                if (group.Count > 0 && bytes + plan.TotalBytes > Share * free) break;
                group.Add(member);
                bytes += plan.TotalBytes;
            }
            left.RemoveAll(group.Contains);
            if (group.Count > 0) yield return new([.. group], bytes, free, where);
        }
    }

    static bool Fits(MemoryPlan plan, long free, string where, [NotNullWhen(false)] out SaeException? why)
    {
        why = null;
        try { plan.Require(free, where); }
        catch (SaeException e) { why = e; }
        return why is null;
    }
}
