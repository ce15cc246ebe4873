using CudaSae.Model;
using CudaSae.Runs;

namespace CudaSae.Cli;

/// <summary>The members of a command that has several, such as the presets of compare. A refused member is a name and a
/// reason on stderr and in the command's table. The other members still run, and the command exits with 1.</summary>
sealed class Members
{
    readonly List<(string Name, string Reason)> refused = [];

    public IReadOnlyList<(string Name, string Reason)> Refused => refused;

    public int ExitCode => refused.Count > 0 ? 1 : 0;

    /// <summary>Runs the action of a member.</summary>
    /// <param name="isItsOwn">Whether an error belongs to this member alone. Another error, such as a full disk, ends
    /// the command.</param>
    /// <returns>False if the member was refused.</returns>
    public bool Try(string name, Action member, Func<SaeException, bool> isItsOwn)
    {
        try
        {
            member();
            return true;
        }
        catch (SaeException e) when (isItsOwn(e))
        {
            Refuse(name, SettingSpelling.ForCommandLine(e.Message));
            return false;
        }
    }

    /// <summary>Returns the result of a member; null if the member was refused or has no result.</summary>
    public T? Get<T>(string name, Func<T?> member, Func<SaeException, bool> isItsOwn) where T : class
    {
        T? made = null;
        Try(name, () => made = member(), isItsOwn);
        return made;
    }

    public void Refuse(string name, string reason)
    {
        refused.Add((name, reason));
        Console.Error.WriteLine($"cudasae: {name}: {reason}");
    }

    /// <summary>Whether an error belongs to one run: its settings, its loss, or too little memory. Errors of the data
    /// and the machine do not.</summary>
    public static bool IsOfRun(SaeException e) =>
        (SharedRuns.IsItsOwn(e) || e.Kind == SaeErrorKind.Memory) && e.InnerException is not SaeException;

    /// <summary>Whether an error belongs to one input, such as an SAE or a chapter of a report. Errors of the device do
    /// not.</summary>
    public static bool IsOfFile(SaeException e) => e.Kind != SaeErrorKind.Device;
}
