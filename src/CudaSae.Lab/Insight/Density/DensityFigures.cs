using CudaSae.Lab.Report;
using CudaSae.Numerics;
using static CudaSae.Lab.Insight.Histograms;

namespace CudaSae.Lab.Insight.Density;

/// <summary>The chapter about densities while the SAE trained, from density.bin.</summary>
static class DensityFigures
{
    const int MaxColumns = 200, Followed = 12;
    const string Again = "resampled";

    /// <summary>Null where a run has no density.bin, or no whole window in it.</summary>
    public static Section? Section(string run)
    {
        var path = Path.Combine(run, DensityFile.Name);
        if (!File.Exists(path)) return null;
        var file = new DensityFile(path);
        return file.Count == 0 ? null : new("density", "Density over training", 20, Figures(file));
    }

    static Figure[] Figures(DensityFile file)
    {
        var windows = Enumerable.Range(0, file.Count).Select(w => file[w]).ToArray();
        var kinds = Kinds(file, windows);
        var figures = new List<Figure> { Heat(file, windows), Lines(file, windows, kinds) };
        if (windows.Any(w => w.Resampled.Contains(true) || w.Protected.Contains(true)))
            figures.Add(Events(file, windows));
        return [.. figures];
    }

    static double Density(DensityWindow w, int place) => (double)w.Firings[place] / w.Rows;
    static double Over(DensityWindow[] windows, int place) =>
        windows.Sum(w => (double)w.Firings[place]) / windows.Sum(w => (double)w.Rows);
    static DensityWindow[] Ending(DensityWindow[] windows) => windows[^Math.Max(1, windows.Length / 10)..];

    static HeatFigure Heat(DensityFile file, DensityWindow[] windows)
    {
        var group = (windows.Length + MaxColumns - 1) / MaxColumns;
        var columns = windows.Chunk(group).ToArray();
        var lowest = Enumerable.Range(1, DensityFile.OctaveCount - 1)
            .Last(o => o == 1 || windows.Any(w => w.Octaves[o] > 0));
        string[] rows = [.. Enumerable.Range(1, lowest).Select(o => $"≤ {Share(Math.Pow(2, 1 - o))}"), "silent"];
        var values = new float[rows.Length * columns.Length];
        for (var c = 0; c < columns.Length; c++)
            for (var r = 0; r < rows.Length; r++)
                values[r * columns.Length + c] =
                    (float)(columns[c].Average(w => w.Octaves[r == rows.Length - 1 ? 0 : r + 1]) / file.Latents);
        int First(int octave) => windows[0].Octaves[octave];
        return new("histogram", "Density over training", rows, [.. columns.Select(c => $"{c[^1].Step}")], values)
        {
            X = new("step"), Y = new("density"), Colour = new("latents", "share"),
            Finding =
                $"The median latent's density goes from {Share(MedianOf(windows[0]))} in the first window to "
                    + $"{Share(MedianOf(windows[^1]))} in the last; "
                + $"latents silent for a whole window from {First(0)} to {windows[^1].Octaves[0]} of {file.Latents}.",
            Formula =
                $"Firings / rows of each window; the last window has {windows[^1].Rows} rows. A row holds densities "
                    + "down to half of its number."
                + (group > 1 ? $" A column is the mean of up to {group} windows." : ""),
        };
    }

    static double MedianOf(DensityWindow w) =>
        Doubles.Median(Enumerable.Range(0, w.Firings.Length).Select(i => Density(w, i)));

    /// <summary>Places of latents by what became of them: by density over the last tenth of the windows.</summary>
    static (string Name, int[] Places)[] Kinds(DensityFile file, DensityWindow[] windows)
    {
        var ending = Ending(windows);
        double[] final = [.. Enumerable.Range(0, file.Kept.Length).Select(i => Over(ending, i))];
        bool[] resampled = [.. final.Select((_, i) => windows.Any(w => w.Resampled[i]))],
        spared = [.. final.Select((_, i) => windows.Any(w => w.Protected[i]))];
        bool[] fired = [.. final.Select((_, i) => windows.Any(w => w.Firings[i] > 0))];
        int[] Of(Func<int, bool> which) =>
            [.. Enumerable.Range(0, final.Length).Where(which).OrderBy(i => final[i]).ThenBy(i => i)];
        return
        [
            ("rare at the end", Of(i => !resampled[i] && !spared[i] && final[i] > 0)),
            ("silent at the end", Of(i => !resampled[i] && !spared[i] && final[i] == 0 && fired[i])),
            (Again, Of(i => resampled[i])), ("dead when others were resampled, protected", Of(i => spared[i])),
        ];
    }

    static LinesFigure Lines(DensityFile file, DensityWindow[] windows, (string Name, int[] Places)[] kinds)
    {
        Series[] series = [.. kinds.Where(k => k.Places.Length > 0)
            .Select(k => Chain(file, windows, k.Name,
                k.Name == Again ? Spread(k.Places) : k.Places[..Math.Min(Followed, k.Places.Length)])),
            new("median latent", Floats(windows.Select(w => (double)w.Step)),
                Floats(windows.Select(w => Math.Max(MedianOf(w), 0.5 / w.Rows)))) { Yardstick = true }];
        var (rare, silent, again, kept) = (kinds[0].Places, kinds[1].Places, kinds[2].Places, kinds[3].Places);
        var alive = again.Count(i => windows[^1].Firings[i] > 0);
        return new("followed", "Rare latents followed", new("step"), new("density", "share of rows", Log: true), series)
        {
            Finding = (rare.Length > 0
                ? $"The {Math.Min(Followed, rare.Length)} rarest latents that still fire at the "
                    + $"end{(again.Length + kept.Length > 0 ? ", of those never found dead," : "")} had a "
                    + "median density of "
                    + $"{Share(Doubles.Median(rare.Take(Followed).Select(i => Density(windows[0], i))))} in the first "
                    + "window and "
                    + $"{Share(Doubles.Median(rare.Take(Followed).Select(i => Over(Ending(windows), i))))} in the last "
                    + "tenth of the windows" : "No latent that was never found dead fires at the end")
                + $"; {silent.Length} fired before and fell silent"
                + (again.Length > 0 ? $"; of {again.Length} resampled ones {alive} fire in the last window"
                    : "; none was resampled")
                + (kept.Length > 0 ? $"; {kept.Length} dead ones were protected" : "") + ".",
            Formula =
                $"Firings / rows of each window, for at most {Followed} latents of a kind, the rarest over the last "
                    + "tenth of the windows (resampled ones from "
                + "the rarest to the most frequent); one line a latent, gaps between them. A window without a firing "
                + "is drawn at half a firing."
                + (file.Kept.Length < file.Latents
                    ? $" Of {file.Latents} latents {file.Kept.Length} at equal distances were kept." : ""),
        };
    }

    static int[] Spread(int[] places) => [.. Enumerable.Range(0, Math.Min(Followed, places.Length))
        .Select(i => places[(long)i * places.Length / Math.Min(Followed, places.Length)])];

    /// <summary>Several latents' lines as one series, so that a kind has one colour.</summary>
    static Series Chain(DensityFile file, DensityWindow[] windows, string name, int[] places)
    {
        var (x, y, labels) = (new List<float>(), new List<float>(), new List<string>());
        foreach (var place in places)
        {
            foreach (var w in windows)
                Add(w.Step, Math.Max(Density(w, place), 0.5 / w.Rows),
                    "latent "
                        + $"{file.Kept[place]}{(w.Resampled[place] ? ", resampled here" : w.Protected[place] ? ", protected here" : "")}");
            Add(windows[^1].Step, double.NaN, "");
        }
        return new(name, [.. x], [.. y]) { Labels = [.. labels] };

        void Add(double step, double density, string label)
        {
            x.Add((float)step);
            y.Add((float)density);
            labels.Add(label);
        }
    }

    static LinesFigure Events(DensityFile file, DensityWindow[] windows)
    {
        var events = windows.Where(w => w.Resampled.Contains(true) || w.Protected.Contains(true)).ToArray();
        var x = Floats(events.Select(w => (double)w.Step));
        var (again, kept) = (events.Select(w => (double)w.Resampled.Count(b => b)).ToArray(),
            events.Select(w => (double)w.Protected.Count(b => b)).ToArray());
        return new("resampled", "Latents resampled", new("step"), new("latents"),
            [new("resampled", x, Floats(again)) { Points = true },
                new("dead, protected", x, Floats(kept)) { Points = true }])
        {
            Finding = $"{again.Count(v => v > 0)} windows saw a resampling, of {again.Sum():0} latents in all"
                + (file.Kept.Length < file.Latents ? " among those kept." : "."),
            Formula =
                "Latents that had not fired for the resampling's window of steps; protected ones are left as they are "
                    + "(Resampling.Protected).",
        };
    }
}
