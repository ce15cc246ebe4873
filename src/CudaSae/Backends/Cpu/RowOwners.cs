using System.Runtime.InteropServices;
using CudaSae.Distributed;

namespace CudaSae.Backends.Cpu;

/// <summary>The exchange of a selection over all ranks: each row of a batch has an owner, which receives the candidates
/// of the row from every rank and answers each with a byte. A rank sends 4 bytes a candidate and receives one, for any
/// number of ranks.</summary>
sealed unsafe class RowOwners : CpuPart
{
    const int CountBytes = sizeof(int);     // an answer begins with the number of entries on lower ranks

    readonly ShardPlan plan;
    readonly int widest;
    readonly float* send, receive;              // [ranks · RowsEach, width]
    readonly byte* answer, answered;            // [ranks · RowsEach, AnswerStride]

    /// <param name="name">What is selected, for the memory plan.</param>
    /// <param name="widest">Largest number of candidates that a rank has of a row.</param>
    public RowOwners(CpuContext context, ShardPlan plan, string name, int widest) : base(context)
    {
        (this.plan, this.widest) = (plan, widest);
        RowsEach = (B + plan.Ranks - 1) / plan.Ranks;
        var rows = (long)plan.Ranks * RowsEach;
        send = context.Arena.Take<float>($"{name}, candidates to owners", rows * widest);
        receive = context.Arena.Take<float>($"{name}, candidates of owned rows", rows * widest);
        answer = context.Arena.Take<byte>($"{name}, answers", rows * StrideOf(widest));
        answered = context.Arena.Take<byte>($"{name}, answers received", rows * StrideOf(widest));
    }

    /// <summary>Rows that a rank owns: [Rank · RowsEach, (Rank + 1) · RowsEach), as far as the batch has
    /// them.</summary>
    public int RowsEach { get; }

    /// <summary>The rows of the batch that this rank owns.</summary>
    public int OwnedRows => Math.Clamp(B - plan.Rank * RowsEach, 0, RowsEach);

    /// <summary>Candidates of each rank and row in the current exchange.</summary>
    int Width { get; set; }

    static int StrideOf(int width) => CountBytes + (width + 3 & ~3);

    /// <summary>Starts an exchange.</summary>
    /// <param name="width">Candidates of each rank and row, the same on all ranks.</param>
    public void Begin(int width)
    {
        Width = width <= widest ? width : throw new ArgumentException($"{width} candidates in room for {widest}");
        NativeMemory.Clear(send, (nuint)((long)plan.Ranks * RowsEach * width * sizeof(float)));
    }

    /// <summary>[Width] The candidates of a row, to be written; 0 for none.</summary>
    public float* Candidates(int b) => send + (long)b * Width;

    /// <summary>Sends the candidates to the owners and clears the answers.</summary>
    public void Send()
    {
        plan.Collective.AllToAll(send, receive, (long)RowsEach * Width * sizeof(float));
        NativeMemory.Clear(answer, (nuint)((long)plan.Ranks * RowsEach * StrideOf(Width)));
    }

    /// <summary>[Width] The candidates of a rank for an owned row, counted from the first owned one.</summary>
    public float* Received(int rank, int row) => receive + ((long)rank * RowsEach + row) * Width;

    /// <summary>[Width] The answers to a rank for an owned row; 0 until they are set.</summary>
    public byte* Answers(int rank, int row) => answer + ((long)rank * RowsEach + row) * StrideOf(Width) + CountBytes;

    /// <summary>Number that goes to a rank beside the answers for an owned row.</summary>
    public ref int AnswerNumber(int rank, int row) => ref *(int*)(Answers(rank, row) - CountBytes);

    /// <summary>Sends the answers back.</summary>
    public void Answer() =>
        plan.Collective.AllToAll(answer, answered, (long)RowsEach * StrideOf(Width));

    /// <summary>[Width] The owner's answers for a row.</summary>
    public byte* Answered(int b) => answered + (long)b * StrideOf(Width) + CountBytes;

    /// <summary>The number beside the answers for a row.</summary>
    public int AnsweredNumber(int b) => *(int*)(Answered(b) - CountBytes);
}
