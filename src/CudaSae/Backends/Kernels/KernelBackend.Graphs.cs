using CudaSae.Devices;
using CudaSae.Model;

namespace CudaSae.Backends.Kernels;

/// <summary>Steps as graphs, one for each path. The host reads the overflow flag of a thresholded selection while the
/// rest of the step runs. A batch whose code exceeds the capacity changes nothing on the sparse path
/// (kernels/encode_columns.cu); it is repeated on the dense path before any result is read.</summary>
sealed unsafe partial class KernelBackend
{
    bool stepDense;         // the path of the last step
    bool launchedDense;     // the path of the last launched step, kept while a recording launches nothing
    bool undecided;         // a sparse-path graph was replayed; its overflow flag has not been read back yet
    Action? afterEncoding;  // the phases of that step after encoding, for a second run on the dense path

    bool WantsDense => Dense && phases.Dense is not null;

    /// <summary>Whether steps on the path that <see cref="Dense"/> selects are replayed.</summary>
    internal bool IsRecorded => Graph != 0;

    ref nint Graph => ref graphs[WantsDense ? 1 : 0];

    /// <summary>Whether the path can be recorded. Chunks of the dense path end at the ends of prefixes, so a graph
    /// cannot represent prefixes that are drawn in each step.</summary>
    bool CanCapture => !Context.LeftOut.Graphs && !(WantsDense && Spec.Nested is Nesting.Prefixes { Random: true });

    bool AuditIsDue(in StepScalars scalars) => !capturing && phases.Screen is { } screen && screen.AuditIsDue(scalars);

    public bool BeginCapture()
    {
        Settle();
        if (Graph != 0 || !CanCapture) return false;
        device.BeginCapture(stream);
        launchedDense = stepDense;
        return capturing = true;
    }

    public void EndCapture()
    {
        Graph = device.EndCapture(stream);
        (capturing, stepDense) = (false, launchedDense);
    }

    public bool Replay(int slot, in StepScalars scalars, Action rest)
    {
        if (Graph == 0 || AuditIsDue(scalars)) return false;
        BeginStep(slot, scalars);
        stepDense = WantsDense;
        undecided = Spec.IsThresholded && !stepDense;
        afterEncoding = rest;
        device.LaunchGraph(Graph, stream);
        LeaveStep();
        return true;
    }

    /// <summary>Encodes the sparse code of a thresholded selection and starts the transfer of its overflow flag to the
    /// host. Outside a recording it waits for the flag.</summary>
    void EncodeColumns()
    {
        phases.Columns!.Run();
        device.CopyToHost(verdict, Buffers.Scalars.Pointer, sizeof(StepScalars), stream);
        if (capturing) device.RecordInGraph(decided, stream);
        else
        {
            device.Record(decided, stream);
            if (!FoundRoom()) TakeDense();
        }
    }

    /// <summary>Returns whether each row of the code fits the capacity; waits for the encoding, not for the
    /// step.</summary>
    bool FoundRoom()
    {
        device.WaitOnHost(decided);
        // An event of a launch that has not started counts as complete.
        if (Verdict.Step != Now.Step) device.Synchronize(stream);
        return Verdict.Abandoned == 0;
    }

    /// <summary>The step and its overflow flag. They are read as one word because the transfer may be in
    /// progress.</summary>
    (uint Step, uint Abandoned) Verdict
    {
        get
        {
            var word = Volatile.Read(ref *(ulong*)&verdict->Step);
            return ((uint)word, (uint)(word >> 32));
        }
    }

    void TakeDense()
    {
        stepDense = true;
        SendScalars();                                                  // resets the overflow flag
    }

    /// <summary>Determines the path of the last step. Afterwards all its work is queued on the stream, though it may
    /// not be complete.</summary>
    void Settle()
    {
        if (!undecided) return;
        undecided = false;
        if (FoundRoom()) return;
        TakeDense();
        published--;
        afterEncoding!();
    }

    /// <summary>The stream, after the path of the last step is determined. All accesses to its results use this
    /// property.</summary>
    nint Settled
    {
        get
        {
            Settle();
            return stream;
        }
    }

    /// <summary>The path that the last step took.</summary>
    bool TookDense
    {
        get
        {
            Settle();
            return stepDense;
        }
    }

    // These operations are not in the graph, because two host buffers alternate.
    void LeaveStep()
    {
        LeaveInput();
        var at = published++ & 1;
        device.CopyToHost(&sums[at], Buffers.Sums.Pointer, sizeof(StepSums), stream);
        device.Record(sumsReady[at], stream);
    }

    void LeaveGraphs()
    {
        if (capturing) Owned.Try(EndCapture);                           // a launch failed during the recording
        capturing = undecided = false;
        for (var path = 0; path < graphs.Length; path++)
        {
            var graph = graphs[path];
            if (graph != 0) Owned.Try(() => device.DestroyGraph(graph));
            graphs[path] = 0;
        }
    }
}
