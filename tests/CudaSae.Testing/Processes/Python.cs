namespace CudaSae.Testing.Processes;

/// <summary>A Python on this machine that has what a test compares with. Without one such tests are skipped by
/// name.</summary>
static class Python
{
    static readonly Lazy<string?> Torch = new(() =>
        new[] { "python3", "/usr/bin/python3" }.FirstOrDefault(p => Start(p, "-c", "import torch, numpy") is (0, _)));

    /// <summary>The first that imports torch and numpy; null if none does.</summary>
    public static string? WithTorch => Torch.Value;

    static readonly Lazy<string?> Any = new(() =>
        new[] { "python3", "/usr/bin/python3" }.FirstOrDefault(p => Start(p, "-c", "import struct, sys") is (0, _)));

    /// <summary>The first that runs at all, for scripts that import nothing else; null if there is none.</summary>
    public static string? Plain => Any.Value;

    public const string Missing = "no python3 here has torch and numpy";

    /// <summary>Runs a script of tests/python; its output.</summary>
    public static string Run(string script, params string[] arguments) => Run(WithTorch!, script, arguments);

    /// <summary>Runs a script of tests/python that may fail; its exit code and its output.</summary>
    public static (int Code, string Output) Try(string script, params string[] arguments) =>
        Start(WithTorch!, [Path.Combine(Repository.Root, "tests", "python", script), .. arguments]);

    /// <summary>Runs a script of tests/python that imports nothing; its output.</summary>
    public static string RunPlain(string script, params string[] arguments) => Run(Plain!, script, arguments);

    static string Run(string python, string script, string[] arguments) =>
        Start(python, [Path.Combine(Repository.Root, "tests", "python", script), .. arguments]) switch
        {
            (0, var output) => output,
            (var code, var output) =>
                throw new InvalidOperationException($"{script} {string.Join(' ', arguments)} ended with {code}: "
                    + $"{output}"),
        };

    static (int Code, string Output) Start(string program, params string[] arguments)
    {
        try
        {
            var (code, output, error) =
                CliProgram.Run(new(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true });
            return (code, output + error);
        }
        catch (System.ComponentModel.Win32Exception e) { return (-1, e.Message); }      // there is no such program
    }
}
