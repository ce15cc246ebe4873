using CudaSae.Devices;
using CudaSae.Model;

namespace CudaSae.Backends.Kernels;

/// <summary>Steps as graphs, one for each path. What a thresholded selection decides in mid-step, the host learns while
/// the rest of the step runs: a batch whose code finds no room moves
/// nothing on the sparse path (kernels/encode_columns.cu), and takes the dense one before anybody looks.</summary>
sealed unsafe partial class KernelBackend
{
    bool stepDense;         // the path of the last step
    bool launchedDense;     // and while another is recorded, which launches nothing
    bool undecided;         // a sparse-path graph was replayed; its overflow flag has not been read back yet
    Action? afterEncoding;  // the phases of that step after encoding, for a second run on the dense path

    bool WantsDense => Dense && phases.Dense is not null;

    /// <summary>Whether steps on the path that <see cref="Dense"/> says are replayed.</summary>
    internal bool IsRecorded => Graph != 0;

    ref nint Graph => ref graphs[WantsDense ? 1 : 0];

    /// <summary>The dense path's chunks end where prefixes do, which a graph cannot follow where they are drawn
    /// anew.</summary>
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

    /// <summary>The sparse code of a thresholded selection, and its verdict on the way to the host. Where no graph is
    /// recorded it is waited for.</summary>
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

    /// <summary>Whether each row of the code found room; waits for the encoding, not for the step.</summary>
    bool FoundRoom()
    {
        device.WaitOnHost(decided);
        // an event of a launch that has not begun counts as over
        if (Verdict.Step != Now.Step) device.Synchronize(stream);
        return Verdict.Abandoned == 0;
    }

    /// <summary>Read as one word, which may be arriving.</summary>
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
        SendScalars();                                                  // nothing is abandoned any more
    }

    /// <summary>After it the last step is what it will be: on its stream, if not yet done.</summary>
    void Settle()
    {
        if (!undecided) return;
        undecided = false;
        if (FoundRoom()) return;
        TakeDense();
        published--;
        afterEncoding!();
    }

    /// <summary>The stream, after the last step is settled. Every reader and writer of its results uses it.</summary>
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

    // Not in the graph, because the two places on the host take turns.
    void LeaveStep()
    {
        LeaveInput();
        var at = published++ & 1;
        device.CopyToHost(&sums[at], Buffers.Sums.Pointer, sizeof(StepSums), stream);
        device.Record(sumsReady[at], stream);
    }

    void LeaveGraphs()
    {
        if (capturing) Owned.Try(EndCapture);                           // a launch failed while it was recorded
        capturing = undecided = false;
        for (var path = 0; path < graphs.Length; path++)
        {
            var graph = graphs[path];
            if (graph != 0) Owned.Try(() => device.DestroyGraph(graph));
            graphs[path] = 0;
        }
    }
}
