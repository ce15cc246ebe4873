namespace CudaSae.Lab.Harvest;

/// <summary>A chain of pieces whose neighbours can be merged. A merged piece has the place of the left one.</summary>
sealed class MergeChain(int capacity)
{
    readonly List<int> id = new(capacity), before = new(capacity), after = new(capacity);

    public int Count => id.Count;

    public void Add(int piece)
    {
        if (Count > 0) after[^1] = Count;
        before.Add(Count - 1);
        id.Add(piece);
        after.Add(-1);
    }

    public int Id(int place) => id[place];

    /// <summary>The previous place; negative at the start.</summary>
    public int Before(int place) => before[place];

    /// <summary>The next place; negative at the end.</summary>
    public int After(int place) => after[place];

    /// <summary>Whether two places are still neighbours with these ids.</summary>
    public bool Holds(int left, int leftId, int right, int rightId) =>
        id[left] == leftId && after[left] == right && id[right] == rightId;

    /// <summary>Merges the piece at a place with the next one.</summary>
    public void Join(int left, int joined)
    {
        var gone = after[left];
        (id[left], id[gone]) = (joined, -1);
        after[left] = after[gone];
        if (after[left] >= 0) before[after[left]] = left;
        after[gone] = -1;
    }

    /// <summary>The ids of the chain after a first id.</summary>
    public int[] Ids(int first)
    {
        var ids = new List<int> { first };
        for (var place = Count > 0 ? 0 : -1; place >= 0; place = after[place]) ids.Add(id[place]);
        return [.. ids];
    }
}
