using System.Text.RegularExpressions;

namespace CudaSae.Tests;

/// <summary>The command cudasae verify with failing kernels: an error fails its case alone, and an error that ends the
/// context ends the process alone.</summary>
[Trait("speed", "slow")]
public class VerifyCommandTests
{
    /// <param name="fault">KERNEL=CODE[,KERNEL=CODE]; see CUDASAE_EMULATOR_FAULT in kernels/emulator/README.md.</param>
    static (int Code, string[] Lines) Verify(string name, string fault)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        var start = CliProgram.Start("verify", "--backend", "emulator", "--case", name);
        start.Environment["CUDASAE_EMULATOR_FAULT"] = fault;
        var (code, output, error) = CliProgram.Run(start);
        Assert.Equal("", error);
        return (code, output.Split('\n', StringSplitOptions.RemoveEmptyEntries));
    }

    static int Count(string[] lines, string pattern) => lines.Count(line => Regex.IsMatch(line, pattern));

    // The cases have "ing" in their names: "8-bit screening" on three targets, the last of which does not screen, and
    // "gated, no rescaling, clip by row" in two forms on the first target.

    [Fact]
    public void AFailedCaseFailsAlone()
    {
        var (code, lines) = Verify("ing", "quantize=1");
        Assert.Equal(1, code);
        Assert.Equal(2, Count(lines, "^emulator.*: 8-bit screening: ERROR, CUDA error 1 .* of quantize"));
        Assert.Equal(2, Count(lines, "^emulator: gated, no rescaling, clip by row.*: ok, "));
        Assert.Equal("2 cases failed; the others are equal within rounding", lines[^1]);
        Assert.Equal(6, lines.Length);
    }

    [Fact]
    public void ALostContextEndsOnlyTheProcess()
    {
        var (code, lines) = Verify("ing", "quantize=719");
        Assert.Equal(1, code);
        Assert.Equal(2, Count(lines, "^emulator.*: 8-bit screening: ERROR, CUDA error 719 .*process restarts"));
        Assert.Equal(2, Count(lines, "the remaining cases run in a new process"));
        Assert.Equal(2, Count(lines, "clip by row.*: ok, "));
        Assert.Equal("2 cases failed; the others are equal within rounding", lines[^1]);
    }

    /// <summary>The first case ends the context. In the next process the encoder of the second case ends the
    /// process.</summary>
    [Fact]
    public void ADeadProcessFailsOnlyItsCurrentCase()
    {
        var (code, lines) = Verify("ing", "quantize=719,encode_columns=abort");
        Assert.Equal(1, code);
        Assert.Equal(1, Count(lines, "clip by row: ERROR, the process ended with code 134"));
        Assert.Equal(1, Count(lines, "clip by row, dense: ok, "));
        Assert.Equal("3 cases failed; the others are equal within rounding", lines[^1]);
    }
}
