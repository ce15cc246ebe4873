namespace CudaSae.Tests;

/// <summary>Specs that together have every part, and the ends of the ranges of their fields.</summary>
public static class SpecExamples
{
    /// <summary>A spec of required fields only.</summary>
    internal static readonly SaeSpec Basis = new()
    {
        InputWidth = 8, Latents = 32, Selection = new Selection.TopK(1),
    };

    internal static readonly SaeSpec[] All =
    [
        Basis with
        {
            Selection = new Selection.TopK(1, InitialK: 8), Aux = new(4, 0.25f, 100), Transcoder = new(6),
            PreEncoderBias = false, DeadAfterTokens = 100, DecoderNorm = DecoderNorm.Free,
        },
        Basis with { Ghost = new(100), Nested = new Nesting.Budgets([2, 4], [1, 0.5f]) },
        Basis with { Selection = new Selection.BatchTopK(4), Nested = new Nesting.Prefixes([4, 8]) },
        Basis with { Selection = new Selection.AbsTopK(4) }, Basis with { Selection = new Selection.GroupMax(4) },
        Basis with { Selection = new Selection.Relu(16), Penalty = new SparsityPenalty.L1 { Coefficient = 1 } },
        Basis with { Selection = new Selection.Relu(16), Penalty = new SparsityPenalty.Tanh { Coefficient = 1 } },
        Basis with { Selection = new Selection.Gated(Room: 16), Penalty = new SparsityPenalty.Lp { Coefficient = 1 } },
        Basis with
        {
            Selection = new Selection.JumpRelu(Room: 16), Penalty = new SparsityPenalty.L0 { Coefficient = 1 },
            PreAct = new(),
        },
        Basis with
        {
            Selection = new Selection.JumpRelu(Room: 16),
            Penalty = new SparsityPenalty.TargetL0(4) { Coefficient = 1 },
        },
    ];

    static readonly string[] Weight = ["0", "1e6"], NoWeight = ["-1e-6", "1000001", "\"NaN\""],
        Share = ["0", "1"], NoShare = ["-0.01", "1.01", "\"NaN\""],
        Positive = ["1e-6", "1e6"], NotPositive = ["0", "1000001", "\"NaN\""],
        Rows = ["1", "9223372036854775807"], Width = ["1", "16384"], NoWidth = ["0", "16385"];

    /// <summary>Title of a part, field, values that are accepted, and values that are refused.</summary>
    public static TheoryData<string, string, string[], string[]> Ranges => new()
    {
        { "Spec", "input_width", Width, NoWidth },
        { "Spec", "latents", ["8", "67108864"], ["0", "67108865"] },
        { "Spec", "dead_after_tokens", ["0", .. Rows], ["-1"] },
        { "Spec", "sites", ["[6]", "[1,5]"], ["[]", "[3,4]", "[0,6]", "[1,1,1,1,1,1,1,1,1]"] },
        { "relu", "room", ["1", "16384"], ["0"] },
        { "jumprelu", "room", ["1", "16384"], ["0"] },
        { "jumprelu", "bandwidth", Positive, NotPositive },
        { "jumprelu", "initial_threshold", Positive, NotPositive },
        { "gated", "room", ["1", "16384"], ["0"] },
        { "topk", "k", ["1", "8"], ["0", "-1"] },
        { "topk", "initial_k", ["0", "1", "32"], ["-1", "33"] },
        { "topk", "anneal_fraction", ["1e-6", "1"], ["0", "1.01", "\"NaN\""] },
        { "abs_topk", "k", ["1", "32"], ["0", "33"] },
        { "batch_topk", "k", ["1", "512"], ["0"] },
        { "batch_topk", "threshold_decay", ["0", "0.9999"], ["-0.01", "1", "\"NaN\""] },
        { "group_max", "k", ["1", "32"], ["0", "5", "33"] },
        { "prefixes", "widths", ["[1]", "[31]", "[1,31]"], ["[]", "[0]", "[32]", "[4,4]"] },
        { "budgets", "ks", ["[1,2]", "[31,32]"], ["[0,1]", "[1,33]", "[2,1]"] },
        { "budgets", "weights", ["[0,1e6]"], ["[1]", "[1,-1]", "[1,1000001]"] },
        { "budgets", "report", ["0", "2", "4"], ["1", "3", "-1"] },
        { "Penalty", "coefficient", Weight, NoWeight },
        { "Penalty", "warmup_fraction", Share, NoShare },
        { "tanh", "scale", Positive, NotPositive },
        { "lp", "power", ["1e-6", "1"], ["0", "1.01", "\"NaN\""] },
        { "lp", "anneal_from", ["0", "0.9"], NoShare },
        { "lp", "anneal_to", ["0.2", "1"], ["0.19", "1.01", "\"NaN\""] },
        { "lp", "changes", ["1", "2147483647"], ["0"] },
        { "target_l0", "target", Positive, NotPositive },
        { "Pre-activation loss", "coefficient", Weight, NoWeight },
        { "Pre-activation loss", "dead_after_tokens", Rows, ["0"] },
        { "Auxiliary loss", "k", ["1", "512"], ["0", "513"] },
        { "Auxiliary loss", "coefficient", Weight, NoWeight },
        { "Auxiliary loss", "dead_after_tokens", Rows, ["0"] },
        { "Ghost gradients", "dead_after_tokens", Rows, ["0"] },
        { "Ghost gradients", "all_first_steps", ["0", "2147483647"], ["-1"] },
        { "Ghost gradients", "window", ["1", "2147483647"], ["0"] },
        { "Transcoder", "output_width", Width, NoWidth },
    };
}
