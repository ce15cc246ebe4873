using CudaSae.Model;
using CudaSae.Runs;

namespace CudaSae.Cli;

/// <summary>The members of a command that has several, such as the presets of compare. One that is refused is a name
/// and a reason, on stderr and in the command's table; the others are still done, and the command exits with
/// 1.</summary>
sealed class Members
{
    readonly List<(string Name, string Reason)> refused = [];

    public IReadOnlyList<(string Name, string Reason)> Refused => refused;

    public int ExitCode => refused.Count > 0 ? 1 : 0;

    /// <summary>Does what a member asks for.</summary>
    /// <param name="isItsOwn">Whether an error is this member's alone; another one, such as a full disk, ends the
    /// command.</param>
    /// <returns>False when it was refused.</returns>
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

    /// <summary>What a member makes; null when it was refused, or makes nothing.</summary>
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

    /// <summary>Of a run: its settings, its loss, or more memory than there is; neither the data nor the
    /// machine.</summary>
    public static bool IsOfRun(SaeException e) =>
        (SharedRuns.IsItsOwn(e) || e.Kind == SaeErrorKind.Memory) && e.InnerException is not SaeException;

    /// <summary>Of what is read, such as an SAE or a chapter of a report: anything but the device.</summary>
    public static bool IsOfFile(SaeException e) => e.Kind != SaeErrorKind.Device;
}
