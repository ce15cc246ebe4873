using System.CommandLine;
using CudaSae.Cli;
using CudaSae.Cli.Help;

namespace CudaSae.Tests;

/// <summary>The help pages of the program.</summary>
public class HelpTests
{
    static IEnumerable<Command> All(Command command) => command.Subcommands.SelectMany(All).Prepend(command);

    static string Page(Command command, bool all = false) =>
        new HelpPage("cudasae", command, [], all, HelpPage.StandardWidth).Render();

    static Command Named(string name) => Commands.Root().Subcommands.Single(command => command.Name == name);

    [Fact]
    public void EveryCommandHasOneGroup() => Assert.Equal(
        Commands.Root().Subcommands.Select(command => command.Name).Order(),
        HelpGroups.Commands.SelectMany(group => group.Names).Order());

    [Fact]
    public void EveryGroupedOptionIsAnOptionOfTrain()
    {
        var names = HelpGroups.Options.SelectMany(group => group.Names).ToArray();
        Assert.Equal(names.Distinct(), names);
        Assert.Equal(names.Order(), Named("train").Options.Select(o => o.Name).Except(["--backend"]).Order());
    }

    [Fact]
    public void OnlyHelpAllShowsAdvancedOptions()
    {
        var (some, all) = (Page(Named("train")), Page(Named("train"), all: true));
        foreach (var name in HelpGroups.Options.Single(group => group.Heading == HelpGroups.Advanced).Names)
        {
            Assert.DoesNotContain($"  {name} ", some);
            Assert.Contains($"  {name}", all);
        }
        Assert.Contains("--help-all", some);
        Assert.Contains("  --latents N ", some);
    }

    [Fact]
    public void PagesNameTheProgramAndFitTheWidth()
    {
        foreach (var command in All(Commands.Root()))
        {
            var page = Page(command, all: true);
            Assert.StartsWith("Usage: cudasae", page);
            Assert.DoesNotContain("CudaSae.Cli", page);
            Assert.All(page.Split('\n'), line => Assert.True(line.Length <= HelpPage.StandardWidth, line));
        }
    }

    [Fact]
    public void ChoicesAreLowerCaseWithHyphens()
    {
        foreach (var option in All(Commands.Root()).SelectMany(command => command.Options))
            if (option.HelpName is { } choices && choices.Contains('|'))
                Assert.Matches("^[a-z0-9]+(-[a-z0-9]+)*(\\|[a-z0-9]+(-[a-z0-9]+)*)+$", choices);
    }

    [Theory]
    [InlineData("lazy-row-adam")]
    [InlineData("LazyRowAdam")]
    [InlineData("lazyRowAdam")]
    public void ChoicesAreReadInEitherSpelling(string name)
    {
        var parsed = Commands.Parse(Commands.Root(), ["train", "--optimizer", name]);
        Assert.Empty(parsed.Errors);
        Assert.Equal(Model.OptimizerKind.LazyRowAdam, parsed.GetValue<Model.OptimizerKind>("--optimizer"));
    }

    [Theory]
    [InlineData("train", "--help")]
    [InlineData("train", "--help-all")]
    [InlineData("-h")]
    [InlineData("-?")]
    public void HelpIsRecognised(params string[] arguments)
    {
        var parsed = Commands.Parse(Commands.Root(), arguments);
        Assert.True(HelpOptions.AreAsked(parsed));
        Assert.Null(CommandFaults.Of(parsed, arguments));
    }
}
