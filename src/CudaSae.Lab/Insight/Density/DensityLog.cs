using CudaSae.Backends;
using CudaSae.Files;
using CudaSae.Metrics;
using CudaSae.Model;
using CudaSae.Training;

namespace CudaSae.Lab.Insight.Density;

/// <summary>Counts the firings of every latent during training and appends them to density.bin, with one record for
/// each window of steps. It only reads, so that the bits of a run are the same with and without it. On the kernels each
/// read waits for the step. With several ranks, every rank reads the firings of all latents, and rank 0 writes the
/// file.</summary>
sealed class DensityLog : ITrainingObserver, IDisposable
{
    /// <summary>The bytes that the counts of a run may take if all latents are kept. If they do not fit,
    /// <see cref="Sample"/> latents at equal distances are kept.</summary>
    public const long Budget = 64L << 20;
    public const int Sample = 4096;

    readonly string? path;
    readonly FileStream? stream;            // null on ranks other than 0
    readonly TrainConfig config;
    readonly int every, latents;
    readonly int[] kept, ofStep;
    readonly long[] firings;
    readonly bool[] resampled, spared;
    readonly List<long> written = [];       // last step of each record
    long rows, last;

    /// <param name="path">density.bin of the run's folder; null on ranks other than 0, which write nothing.</param>
    /// <param name="latents">n.</param>
    /// <param name="every">Steps of a window.</param>
    /// <param name="step">The step from which training resumes; later windows are removed. 0 starts a new file.</param>
    /// <exception cref="SaeException">The file cannot be written, or belongs to another run.</exception>
    public DensityLog(string? path, int latents, TrainConfig config, int every, long step)
    {
        if (every < 1)
            throw new SaeException($"--density-every {every} is out of range: it must be 1 or more, or 0 for none");
        (this.path, this.latents, this.config, this.every, last) = (path, latents, config, every, step);
        (firings, ofStep, resampled, spared) =
            (new long[latents], new int[latents], new bool[latents], new bool[latents]);
        var old = step > 0 && File.Exists(path) ? new DensityFile(path) : null;     // null has no file
        if (old is not null && old.Latents != latents)
            throw new SaeException($"{path} has {old.Latents} latents, this run has {latents}; move the file");
        kept = old?.Kept ?? KeptOf(latents, (config.Steps + every - 1) / every);
        if (path is null) return;
        try
        {
            stream = new(path, old is null ? FileMode.Create : FileMode.Open, FileAccess.Write, FileShare.Read);
            if (old is null) stream.Write(DensityFile.Header(latents, kept, config.BatchRows));
            else
            {
                written.AddRange(Enumerable.Range(0, old.Count).Select(old.StepOf));
                CutBack(step);
            }
            stream.Flush();
        }
        catch (Exception e) when (AtomicFile.IsRefusal(e))
        {
            stream?.Dispose();
            throw Refused(e);
        }
    }

    static int[] KeptOf(int latents, long windows) =>
        latents * windows * sizeof(uint) <= Budget || latents <= Sample ? [.. Enumerable.Range(0, latents)]
        : [.. Enumerable.Range(0, Sample).Select(i => (int)((long)i * latents / Sample))];

    SaeException Refused(Exception e) =>
        new($"cannot write {path}: {AtomicFile.Reason(e)}; free some space, or train without --density-every", e,
            SaeErrorKind.Files);

    /// <summary>Removes the windows that end after the step, and the counts of the current window.</summary>
    void CutBack(long step)
    {
        var keep = 0;
        while (keep < written.Count && written[keep] <= step) keep++;
        written.RemoveRange(keep, written.Count - keep);
        stream?.SetLength(DensityFile.HeaderBytes(kept.Length) + (long)keep * DensityFile.RecordBytes(kept.Length));
        stream?.Seek(0, SeekOrigin.End);
        Forget();
    }

    void Forget()
    {
        Array.Clear(firings);
        Array.Clear(resampled);
        Array.Clear(spared);
        rows = 0;
    }

    public void Stepped(long step, IBackend backend)
    {
        if (step <= last) CutBack(step - 1);        // the run went back after a divergence
        backend.ReadFirings(ofStep);
        for (var f = 0; f < latents; f++) firings[f] += ofStep[f];
        rows += config.BatchRows;
        last = step;
        if (config.Resampling?.IsDue(step) == true)
            foreach (var f in Resampler.DeadLatents(backend, step))     // the trainer resamples these next
                (config.Resampling.IsProtected(config.Seed, f) ? spared : resampled)[f] = true;
        if (step % every == 0) Write();
    }

    void Write()
    {
        if (rows == 0 || stream is null) return;
        var octaves = new int[DensityFile.OctaveCount];
        foreach (var f in firings) octaves[DensityFile.Octave((ulong)f, (ulong)rows)]++;
        try
        {
            stream.Write(DensityFile.Record(new(last, rows, [.. kept.Select(f => (uint)firings[f])],
                [.. kept.Select(f => resampled[f])], [.. kept.Select(f => spared[f])], octaves)));
            stream.Flush();
        }
        catch (Exception e) when (AtomicFile.IsRefusal(e)) { throw Refused(e); }
        written.Add(last);
        Forget();
    }

    public void Report(StepMetrics metrics) { }
    public void Saved(string path) { }

    /// <summary>Writes the incomplete last window, for example of an interrupted run. Each record has its number of
    /// rows.</summary>
    public void Dispose()
    {
        using (stream) Write();
    }
}
