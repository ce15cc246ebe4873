using CudaSae.Lab.Verification;

namespace CudaSae.Tests;

/// <summary>Compares every target with the reference, by the code that <c>cudasae verify</c> runs.</summary>
[Collection("emulator")]
[Trait("speed", "slow")]
public class VerifierTests
{
    public static TheoryData<string, string> Cases()
    {
        var data = new TheoryData<string, string>();
        foreach (var target in Targets.Names)
            foreach (var c in VerifyCase.All)
                if (c.UsesTopKEncoder || !(target.Contains("float32") || target.Contains("candidates")))
                    data.Add(target, c.Name);
        return data;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void TargetEqualsReference(string target, string name)
    {
        var results = new Verifier(Targets.Create(target),
            Targets.Rounding(target)).Run(VerifyCase.All.Single(c => c.Name == name));
        Assert.All(results, r => Assert.True(r.Passed, r.ToString()));
    }
}
