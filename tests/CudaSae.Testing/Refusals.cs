using Xunit;

namespace CudaSae.Testing;

/// <summary>Checks errors of the library.</summary>
static class Refusals
{
    /// <summary>Requires that the action throws an error whose message is one line and matches the
    /// expression.</summary>
    public static void AssertOneLine(string expected, Action action)
    {
        var message = Assert.Throws<SaeException>(action).Message;
        Assert.False(message.Any(char.IsControl), message);
        Assert.Matches(expected, message);
    }
}
