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
            foreach (var (i, c) in VerifyCase.All.Index())
                if (Serves(target, c) && !IsOfTheOtherSchedule(target, i))
                    data.Add(target, c.Name);
        return data;
    }

    static bool Serves(string target, VerifyCase c) =>
        c.UsesTopKEncoder || !(target.Contains("float32") || target.Contains("candidates"));

    /// <summary>Every case runs in the plain order and under one of two schedules.</summary>
    static bool IsOfTheOtherSchedule(string target, int number) =>
        target.EndsWith("schedule 7") && number % 2 == 1 || target.EndsWith("schedule 20261121") && number % 2 == 0;

    [Theory]
    [MemberData(nameof(Cases))]
    public void TargetEqualsReference(string target, string name)
    {
        var results = new Verifier(Targets.Create(target),
            Targets.Rounding(target)).Run(VerifyCase.All.Single(c => c.Name == name));
        Assert.All(results, r => Assert.True(r.Passed, r.ToString()));
    }
}
