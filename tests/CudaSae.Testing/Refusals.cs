using Xunit;

namespace CudaSae.Testing;

/// <summary>Errors of the library.</summary>
static class Refusals
{
    /// <summary>The action throws, and the message is one line that matches the expression.</summary>
    public static void AssertOneLine(string expected, Action action)
    {
        var message = Assert.Throws<SaeException>(action).Message;
        Assert.False(message.Any(char.IsControl), message);
        Assert.Matches(expected, message);
    }
}
