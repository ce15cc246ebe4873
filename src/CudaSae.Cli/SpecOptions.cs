using System.CommandLine;
using CudaSae.Model;

namespace CudaSae.Cli;

/// <summary>The options of <see cref="SaeSpec"/>, from the table of its settings. A preset makes the spec from some of
/// them, and the others change it.</summary>
sealed class SpecOptions
{
    readonly Option<int> latents = Latents();
    readonly Option<int> k = Of(SpecSettings.K, SpecDefaults.K);
    readonly Option<float?> coefficient = Options.Optional(SpecSettings.Coefficient.Flag,
        $"{SpecSettings.Coefficient.Help}; the value of the preset if not given", SpecSettings.Coefficient.Values!);
    readonly Option<int> auxK = Options.New(SpecSettings.AuxK.Flag,
        $"{SpecSettings.AuxK.Help}; 0 for no auxiliary loss", SpecDefaults.AuxK,
        SpecSettings.AuxK.Values! with { Least = 0 });
    readonly Option<float> auxCoefficient = Of(SpecSettings.AuxCoefficient, SpecDefaults.AuxCoefficient);
    readonly Option<long> deadAfter = Of(SpecSettings.DeadAfterTokens, 0L);
    readonly Option<bool> auxRelu = Of(SpecSettings.AuxRelu, true);
    readonly Option<DecoderNorm> decoderNorm = Of(SpecSettings.DecoderNorm, DecoderNorm.Unit);

    public IEnumerable<Option> All =>
        [latents, k, coefficient, auxK, auxCoefficient, deadAfter, auxRelu, decoderNorm];

    /// <summary>Creates the option of the number of latents.</summary>
    public static Option<int> Latents() => Of(SpecSettings.Latents, SpecDefaults.Latents);

    public int LatentsOf(ParseResult parsed) => parsed.GetValue(latents);

    public int KOf(ParseResult parsed) => parsed.GetValue(k);

    /// <summary>The rows after which a latent is dead; 0 for the default rule.</summary>
    public long DeadAfterOf(ParseResult parsed) => parsed.GetValue(deadAfter);

    public bool GivesDeadAfter(ParseResult parsed) => Settings.Given(parsed, deadAfter);

    /// <summary>Returns a preset's spec with the values that the command line gives.</summary>
    /// <exception cref="SaeException">A penalty's weight is given, but the preset has no penalty.</exception>
    public SaeSpec Over(ParseResult parsed, SaeSpec spec, TrainConfig config)
    {
        if (Settings.Given(parsed, decoderNorm)) spec = spec with { DecoderNorm = parsed.GetValue(decoderNorm) };
        if (parsed.GetValue(coefficient) is { } weight)
            spec = spec with
            {
                Penalty = (spec.Penalty ?? throw new SaeException($"{coefficient.Name}: this preset has no penalty; "
                    + "choose one with --preset")) with
                { Coefficient = weight },
            };
        return Settings.Given(parsed, auxK) || Settings.Given(parsed, auxCoefficient) || Settings.Given(parsed, auxRelu)
            ? spec with { Aux = Aux(parsed, config) } : spec;
    }

    AuxLoss? Aux(ParseResult parsed, TrainConfig config)
    {
        var most = parsed.GetValue(auxK);
        var used = Settings.Given(parsed, auxK) ? most : Math.Min(most, LatentsOf(parsed));
        var dead = DeadAfterOf(parsed);
        return used == 0 ? null : new(used, parsed.GetValue(auxCoefficient),
            dead > 0 ? dead : DeadAfter.Rows(config), parsed.GetValue(auxRelu));
    }

    static Option<T> Of<TRecord, T>(SpecSetting<TRecord, T> setting, T standard) =>
        Options.New(setting.Flag, setting.Help, standard, setting.Values);
}
