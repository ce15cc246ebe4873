namespace CudaSae.Lab.Harvest;

/// <summary>Pieces in a row, of which neighbours become one: the left one's place stays.</summary>
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

    /// <summary>The place before it; negative at the start.</summary>
    public int Before(int place) => before[place];

    /// <summary>The place after it; negative at the end.</summary>
    public int After(int place) => after[place];

    /// <summary>Whether these two are neighbours with these ids still.</summary>
    public bool Holds(int left, int leftId, int right, int rightId) =>
        id[left] == leftId && after[left] == right && id[right] == rightId;

    /// <summary>The piece at a place and the next become one.</summary>
    public void Join(int left, int joined)
    {
        var gone = after[left];
        (id[left], id[gone]) = (joined, -1);
        after[left] = after[gone];
        if (after[left] >= 0) before[after[left]] = left;
        after[gone] = -1;
    }

    /// <summary>What is left, behind a first id.</summary>
    public int[] Ids(int first)
    {
        var ids = new List<int> { first };
        for (var place = Count > 0 ? 0 : -1; place >= 0; place = after[place]) ids.Add(id[place]);
        return [.. ids];
    }
}
