using CudaSae.Numerics;

namespace CudaSae.Lab.Synthetic;

/// <summary>Finds the one-to-one matching of rows to columns with the largest sum of gains, by the Hungarian method
/// with shortest augmenting paths (Jonker and Volgenant 1987), in O(short side² · long side).</summary>
static class Assignment
{
    /// <returns>The column of each row. If there are fewer columns than rows, a row without a column has −1.</returns>
    public static int[] Maximize(Matrix gain)
    {
        if (gain.Rows <= gain.Columns) return Solve(gain);
        using var turned = new Matrix(gain.Columns, (int)gain.Rows);
        for (var r = 0; r < gain.Rows; r++)
            for (var c = 0; c < gain.Columns; c++) turned[c][r] = gain[r][c];
        var rowOf = Solve(turned);
        var columnOf = new int[gain.Rows];
        Array.Fill(columnOf, -1);
        for (var c = 0; c < rowOf.Length; c++) columnOf[rowOf[c]] = c;
        return columnOf;
    }

    /// <summary>Adds rows one at a time. Column <c>free</c>, one past the last, belongs to the row that has no column
    /// yet.</summary>
    static int[] Solve(Matrix gain)
    {
        int rows = (int)gain.Rows, columns = gain.Columns, free = columns;
        double[] rowPrice = new double[rows], columnPrice = new double[columns + 1], distance = new double[columns];
        int[] owner = new int[columns + 1], before = new int[columns];
        var closed = new bool[columns + 1];
        Array.Fill(owner, -1);
        for (var row = 0; row < rows; row++)
        {
            Array.Fill(distance, double.PositiveInfinity);
            Array.Clear(closed);
            owner[free] = row;
            var at = free;
            do
            {
                closed[at] = true;
                var from = owner[at];
                var gains = gain[from];
                var nearest = -1;
                for (var c = 0; c < columns; c++)
                {
                    if (closed[c]) continue;
                    var reduced = -gains[c] - rowPrice[from] - columnPrice[c];
                    if (reduced < distance[c]) (distance[c], before[c]) = (reduced, at);
                    if (nearest < 0 || distance[c] < distance[nearest]) nearest = c;
                }
                var step = distance[nearest];
                for (var c = 0; c <= columns; c++)
                {
                    if (closed[c])
                    {
                        rowPrice[owner[c]] += step;
                        columnPrice[c] -= step;
                    }
                    else distance[c] -= step;
                }
                at = nearest;
            }
            while (owner[at] >= 0);
            for (; at != free; at = before[at]) owner[at] = owner[before[at]];
        }
        var columnOf = new int[rows];
        for (var c = 0; c < columns; c++)
            if (owner[c] >= 0) columnOf[owner[c]] = c;
        return columnOf;
    }
}
