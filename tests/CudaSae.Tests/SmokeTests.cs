using Xunit;

namespace CudaSae.Tests;

public class SmokeTests
{
    [Fact]
    public void Runs() => Assert.True(true);
}
