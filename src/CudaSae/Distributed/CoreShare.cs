using System.Text;
using CudaSae.Files.Zip;

namespace CudaSae.Distributed;

/// <summary>The threads of a rank. Ranks that may use the same cores of a machine divide them; a launcher may also bind
/// each rank to cores that no other rank has.</summary>
static class CoreShare
{
    const string Status = "/proc/self/status", Allowed = "Cpus_allowed:";

    /// <summary>Returns the number of threads of this rank. Every rank calls it.</summary>
    public static int Threads(ICollective ranks)
    {
        var own = Crc32.Append(0, Encoding.UTF8.GetBytes($"{Environment.MachineName} {Cores()}"));
        var sharing = ranks.AllGather(own).Count(other => other == own);
        return Math.Max(1, Environment.ProcessorCount / sharing);
    }

    /// <summary>The cores that this process may use, as Linux lists them; empty on other systems.</summary>
    static string Cores()
    {
        try
        {
            return File.ReadLines(Status).FirstOrDefault(line => line.StartsWith(Allowed, StringComparison.Ordinal))
                ?? "";
        }
        catch (IOException) { return ""; }
    }
}
