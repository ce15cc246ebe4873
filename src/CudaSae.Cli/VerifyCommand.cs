using System.CommandLine;
using CudaSae.Backends.Cpu;
using CudaSae.Verification;
using Spectre.Console;

namespace CudaSae.Cli;

/// <summary>cudasae verify: every phase on this machine's targets against the double-precision reference. Exits with 1 on any mismatch.</summary>
static class VerifyCommand
{
    public static Command Create()
    {
        var command = new Command("verify", "Hold this machine's targets against the double-precision reference.");
        command.SetAction(_ =>
        {
            var bad = 0;
            var table = new Table().AddColumns("target", "case", "worst quantity").AddColumn(new TableColumn("difference").RightAligned()).AddColumn(new TableColumn("allowed").RightAligned()).AddColumn("");
            var verifier = new Verifier((spec, config, type) => new CpuBackend(spec, config, type), Rounding.None);
            foreach (var c in VerifyCase.All)
            {
                var results = verifier.Run(c);
                bad += results.Count(r => !r.Passed);
                var worst = results.OrderByDescending(r => double.IsNaN(r.Difference) ? double.PositiveInfinity : r.Difference / r.Tolerance).First();
                table.AddRow("cpu", c.Name, worst.Quantity, $"{worst.Difference:0.0e+0}", $"{worst.Tolerance:0.0e+0}", worst.Passed ? "ok" : "MISMATCH");
            }
            AnsiConsole.Write(table);
            Console.WriteLine(bad == 0 ? "all equal within rounding" : $"{bad} quantities differ");
            return bad == 0 ? 0 : 1;
        });
        return command;
    }
}
